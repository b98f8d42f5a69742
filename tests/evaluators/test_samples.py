import json
import unicodedata

import numpy as np
import pytest

from big_rad.evaluators import samples as sample_files
from big_rad.grounding import masks

BLUE, ORANGE = (0, 0x72, 0xB2), (0xE6, 0x9F, 0)


def record(i, reference=(), prediction=(), **scores):
    boxes = {
        "reference": list(map(of_class, reference)),
        "prediction": list(map(of_class, prediction)),
    }
    return {"index": i, "id": f"slice-{i}", "modality": "CT", "scores": scores, "boxes": boxes}


def of_class(name):
    number = {"liver": 5, "spleen": 1}.get(name, 0)
    return {"class_id": number, "class_name": name if number else "", "phrase": name}


def entity(box, **fields):
    return {"box_pixels": box, "class_name": "", "phrase": "", **fields}


def has(picture, colour):
    return (np.asarray(picture) == colour).all(-1).any()


def test_what_is_written_is_read_back_without_the_data_set(tmp_path):
    records = [record(i, g_iou=np.float32(i), f1=float("nan")) for i in range(3)]
    records[1]["prediction"] = "Zwei\u2028Zeilen, ein Satz"
    pixels = {0: np.arange(12, dtype=np.uint8).reshape(3, 4), 2: np.ones((3, 4, 3), np.uint8)}
    sample_files.write(tmp_path / "new", "report", records, pixels)
    found, images = sample_files.read(tmp_path / "new", "report")
    assert [r["scores"] for r in found] == [{"g_iou": i, "f1": None} for i in range(3)]
    assert found[1]["prediction"] == records[1]["prediction"]
    assert images.keys() == pixels.keys()
    for i, image in pixels.items():
        np.testing.assert_array_equal(images[i], image)


def test_an_evaluator_that_has_not_run_has_no_samples(tmp_path):
    assert sample_files.read(tmp_path / "nowhere", "report") == ([], {})


@pytest.mark.parametrize("kind", ["jsonl", "npz"])
def test_a_broken_file_is_named_with_what_to_do(tmp_path, kind):
    sample_files.write(tmp_path, "report", [record(0)], {0: np.zeros((2, 2), np.uint8)})
    path = tmp_path / f"report.{kind}"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=rf"report\.{kind} is broken .*; remove it"):
        sample_files.read(tmp_path, "report")


@pytest.mark.parametrize(
    "line, message",
    [
        ('{"id": "a", "scores": {}', "line 2: Expecting"),
        ('{"id": "a"}', "line 2: no scores"),
        ("[1]", "line 2: no id, scores"),
        ('{"id": "a", "scores": {"f1": "abc"}}', "line 2: scores: f1 is no number"),
    ],
)
def test_a_broken_line_is_named_with_its_field(tmp_path, line, message):
    sample_files.write(tmp_path, "report", [record(0)], {})
    with (tmp_path / "report.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=rf"report\.jsonl is broken \({message}"):
        sample_files.read(tmp_path, "report")


@pytest.mark.parametrize("n", [0, 1, 3, 12, 40])
def test_best_worst_and_random_samples_are_disjoint_and_limited_in_number(n):
    groups = sample_files.choose([record(i, g_iou=i / 20) for i in range(n)], "g_iou", per_group=4)
    chosen = [r["id"] for group in groups.values() for r in group]
    assert len(chosen) == len(set(chosen)) == min(n, 12)


def test_best_and_worst_are_by_score():
    groups = sample_files.choose([record(i, g_iou=i / 20) for i in range(20)], "g_iou")
    assert [r["index"] for r in groups["best"]] == [19, 18, 17]
    assert [r["index"] for r in groups["worst"]] == [0, 1, 2]


def test_samples_without_a_score_can_only_be_random():
    groups = sample_files.choose([record(i, g_iou=None, report_f1=1.0) for i in range(5)], "g_iou")
    assert (len(groups["best"]), len(groups["worst"]), len(groups["random"])) == (0, 0, 3)


def test_of_equal_samples_none_is_the_best_or_the_worst():
    groups = sample_files.choose([record(i, g_iou=0.0) for i in range(20)], "g_iou")
    assert (len(groups["best"]), len(groups["worst"]), len(groups["random"])) == (0, 0, 9)


@pytest.mark.parametrize("n", [0, 1, 4, 5, 300])
def test_the_samples_that_are_followed_do_not_depend_on_scores(n):
    one, other = ([record(i, g_iou=s * i) for i in range(n)] for s in (1, -1))
    indices = [r["index"] for r in sample_files.followed(one)]
    assert indices == [r["index"] for r in sample_files.followed(other)]
    assert len(set(indices)) == min(n, 4)


@pytest.mark.parametrize("kind", ["grounded", "vqa", "of_another_kind"])
def test_images_are_kept_of_all_that_a_page_or_tensorboard_shows_and_of_no_others(kind):
    records = [record(i, g_iou=i / 99, accuracy=float(i % 3 == 0)) for i in range(99)]
    wanted = {r["index"] for r in sample_files.followed(records)}
    wanted |= {r["index"] for g in sample_files.groups(records, kind).values() for r in g}
    shown = [r["index"] for r in sample_files.illustrated(records, kind)]
    assert set(shown) == wanted and len(shown) == len(wanted) <= 22


def test_hallucinations_and_misses_are_of_classes_that_one_side_alone_names():
    r = record(0, ["liver", "a cyst"], ["liver", "liver", "spleen", "A Cyst "])
    assert [e["phrase"] for e in sample_files.hallucinated(r)] == ["spleen"]
    assert sample_files.missed(r) == []
    assert [
        e["phrase"] for e in sample_files.missed(record(0, ["liver", "spleen"], ["Liver"]))
    ] == [
        "liver",
        "spleen",
    ]  # A phrase "liver" without a class does not count as the class liver.


def test_samples_with_most_hallucinations_and_misses_are_looked_at():
    records = [record(i, ["liver"], ["liver"], g_iou=0.5) for i in range(40)]
    records[20] = record(20, ["liver"], ["liver", "spleen", "a cyst"], g_iou=0.5)
    records[30] = record(30, [], ["spleen"], g_iou=None)
    records[31] = record(31, ["liver"], [], g_iou=0.5)
    groups = sample_files.groups(records, "grounded")
    assert list(groups) == ["worst", "best", "random", "hallucinations", "misses"]
    assert [r["index"] for r in groups["hallucinations"]] == [20, 30]
    assert [r["index"] for r in groups["misses"]] == [31]
    assert sample_files.groups(records, "of_another_kind") == {}


def test_a_phrase_without_a_class_is_the_same_in_either_unicode_form():
    apart = unicodedata.normalize("NFD", "\u00d6dem")
    same = record(0, ["\u00d6dem", "liver"], [apart, "liver"])
    assert sample_files.missed(same) == [] and sample_files.hallucinated(same) == []
    assert len(sample_files.missed(record(0, ["\u00d6dem"], ["Odem"]))) == 1


def test_answers_are_wrong_or_right():
    groups = sample_files.groups(
        [record(i, f1=1.0, accuracy=float(i % 2)) for i in range(20)], "vqa"
    )
    assert list(groups) == ["wrong", "right"]
    for name, rest in (("wrong", 0), ("right", 1)):
        assert len(groups[name]) == 6 and {r["index"] % 2 for r in groups[name]} == {rest}


def test_an_overlay_draws_what_each_side_points_at():
    image, box = np.zeros((56, 56), np.uint8), [10, 20, 30, 50]
    for reference, prediction in (([], [box]), ([box], []), ([box], [box]), ([], [])):
        boxes = {"reference": map(entity, reference), "prediction": map(entity, prediction)}
        picture = sample_files.overlay({"boxes": boxes, "modality": "CT"}, image)
        assert has(picture, BLUE) == bool(reference)
        assert has(picture, ORANGE) == bool(prediction)


def test_an_overlay_draws_a_mask_in_place_of_its_box_and_no_inverted_box():
    mask = np.zeros((56, 56), bool)
    mask[20:50, 10:12] = True
    runs = json.loads(json.dumps(masks.to_runs(mask)))
    boxes = {
        "reference": [entity([10, 20, 30, 50], mask=runs)],
        "prediction": [entity([30, 50, 10, 20]), entity(None)],
    }
    picture = sample_files.overlay({"boxes": boxes, "modality": "CT"}, np.zeros((56, 56), np.uint8))
    columns = np.nonzero((np.asarray(picture) == BLUE).all(-1).any(0))[0]
    # The picture is 448 pixels wide, so the mask is at 80..96; the box would end at 240.
    assert (columns.min(), columns.max() + 1) == (80, 96)
    assert not has(picture, ORANGE)


class Ran:
    def __init__(self, points, n=9):
        self.points, self.pixels = points, {i: np.zeros((8, 8), np.uint8) for i in range(n)}
        boxes = {"reference": [entity([1, 1, 5, 5])], "prediction": []}
        self.records = [record(i, g_iou=0.5) | {"boxes": boxes} for i in range(n)]


def test_tensorboard_gets_a_handful_of_those_that_point_at_something():
    evals = {"report": Ran(True), "vqa": Ran(False), "report_blank": Ran(True)}
    evals["report_blank"].pixels = {}  # Controls keep no images.
    pictures = dict(sample_files.overlays(evals))
    assert list(pictures) == [f"report/sample_{i}" for i in (0, 3, 5, 8)]
    assert all(has(p, BLUE) for p in pictures.values())
