import json
import re

import numpy as np
import pytest

from big_rad.evaluators import spec as spec_lib
from tests.helpers import made_evaluation
from tests.helpers.made_evaluation import draw
from tools import compare, published


def evaluation(folder, scores, name="slake", **options):
    return made_evaluation.write(folder, scores, name, dataset=name, **options)


def rows(out):
    """Returns score -> (name of its table, its cells), read from the printed text."""
    found, table = {}, ""
    for line in out.splitlines():
        if line.endswith("exit code.") or line.endswith("worse.") or line.endswith("verdict."):
            table = line.split(maxsplit=1)[0]
        cells = [c.strip() for c in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0] != "score":
            found[cells[0]] = (table, cells)
    return found


def test_the_same_run_is_neither_better_nor_worse(tmp_path, capsys):
    a, b = (evaluation(tmp_path / x, {"f1": draw(0.6)}) for x in "ab")
    assert compare.main([str(a), str(b)]) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("| slake f1"))
    assert line.split("|")[4].strip() == "+0.000 (+0.000 to +0.000)" and "1.0000" in line


def test_what_is_surely_worse_is_exit_code_1_and_better_is_not(tmp_path, capsys):
    x = draw(0.6)
    worse = np.where(draw(0.2, seed=1) > 0, 0, x)
    a, b = (
        evaluation(tmp_path / n, {"f1": s, "laterality_text": 1 - s})
        for n, s in (("a", x), ("b", worse))
    )
    assert compare.main([str(a), str(b)]) == 1
    out = capsys.readouterr().out
    # A higher share of wrong sides counts as worse.
    assert out.count(" worse ") == 2 and " better " not in out
    assert compare.main([str(b), str(a)]) == 0
    assert capsys.readouterr().out.count(" better ") == 2


def test_questions_of_an_image_are_resampled_together_unless_asked(tmp_path, capsys):
    gain = np.repeat(draw(0.3, 20), 2) * 0.5
    a, b = (evaluation(tmp_path / n, {"f1": s}) for n, s in (("a", 0 * gain), ("b", gain)))

    def width(*options):
        compare.main([str(a), str(b), *options])
        text = capsys.readouterr().out.split("(")[-1].split(")")[0]
        low, high = map(float, text.split(" to "))
        return high - low

    assert width() > 1.2 * width("--by_sample")


def test_main_scores_come_first_and_alone_decide_the_exit_code(tmp_path, capsys):
    good, bad = draw(0.8, 80), draw(0.2, 80, seed=1)
    for folder, main, other in ((tmp_path / "a", good, good), (tmp_path / "b", good, bad)):
        made_evaluation.add(folder, "blank", {"f1": other}, control="blank")
        made_evaluation.add(folder, "vqa", {"accuracy": other, "f1": main, "x": other})
        made_evaluation.add(
            folder, "report", {"report_f1": other, "g_iou": main, "y": main}, kind="grounded"
        )
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    assert compare.main([a, b]) == 0
    found = rows(capsys.readouterr().out)
    assert list(found)[:2] == ["vqa f1", "report g_iou"] and list(found)[-1] == "blank f1"
    assert [t for t, _ in found.values()] == ["Main"] * 2 + ["Other"] * 4 + ["Controls,"]
    verdicts = {name: cells[3].rpartition(")")[2].strip() for name, (_, cells) in found.items()}
    assert {n for n, v in verdicts.items() if v == "worse"} == {
        "vqa accuracy", "vqa x", "report report_f1",
    }  # fmt: skip
    assert verdicts["blank f1"] == "" and found["blank f1"][1][4:6] == ["–", "–"]
    # Only a main score that is worse changes the exit code; one of the blank image does not.
    made_evaluation.add(tmp_path / "b", "vqa", {"f1": bad})
    assert compare.main([a, b]) == 1
    assert compare.main([b, a]) == 0


def test_compare_takes_the_main_scores_and_their_directions_from_where_the_page_has_them(
    tmp_path, capsys
):
    good, bad = draw(0.8, 80), draw(0.2, 80, seed=1)
    classes = {kind: spec_lib.find(kind) for kind in ("grounded", "vqa")}
    pointed = classes["grounded"]
    lower = [s for s in pointed.labels() if pointed.lowest(s)]
    seconds = {kind: cls.main[1] for kind, cls in classes.items()}
    for kind, second in seconds.items():
        for folder, scores in ((tmp_path / "a", good), (tmp_path / "b", bad)):
            named = {second: scores} | {s: scores for s in lower if kind == "grounded"}
            made_evaluation.add(folder, kind, named, kind=kind)
    assert compare.main([str(tmp_path / "a"), str(tmp_path / "b")]) == 1
    found = rows(capsys.readouterr().out)
    mains = [f"{kind} {second}" for kind, second in seconds.items()]
    assert [name for name, (table, _) in found.items() if table == "Main"] == mains
    assert all(found[name][1][3].endswith("worse") for name in mains)
    assert all(found[f"grounded {s}"][1][3].endswith("better") for s in lower)


def test_scores_of_a_type_that_is_gone_are_compared_without_a_verdict_and_that_is_said(
    tmp_path, capsys
):
    for name, score in (("a", draw(0.8, 80)), ("b", draw(0.2, 80, seed=1))):
        made_evaluation.write(tmp_path / name, {"f1": score}, "held_out", kind="nobodys.loss")
    assert compare.main([str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    out = capsys.readouterr().out
    assert rows(out)["held_out f1"][0] == "Other" and " worse " not in out
    assert "held_out: its type is 'nobodys.loss', which cannot be imported" in out


def test_of_texts_that_point_at_nothing_the_words_are_the_main_score(tmp_path, capsys):
    for name, score in (("a", draw(0.8, 80)), ("b", draw(0.2, 80, seed=1))):
        scores = {"g_iou": [None] * 80, "report_f1": score}
        made_evaluation.write(tmp_path / name, scores, "report", kind="grounded")
    assert compare.main([str(tmp_path / "a"), str(tmp_path / "b")]) == 1
    assert rows(capsys.readouterr().out)["report report_f1"][0] == "Main"


def test_one_of_many_main_scores_that_is_worse_by_chance_is_no_verdict(tmp_path, capsys):
    # One of six evaluators has a p just below 0.05, as may happen by chance.
    x = np.zeros(40)
    unlucky = np.array([-1.0] * 9 + [1.0] * 2 + [0.0] * 29)
    for folder, last in ((tmp_path / "a", x), (tmp_path / "b", unlucky)):
        for i in range(6):
            made_evaluation.add(folder, f"e{i}", {"f1": last if i == 3 else x}, per_image=1)
    assert compare.main([str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    cells = rows(capsys.readouterr().out)["e3 f1"][1]
    assert 0.01 < float(cells[4]) < 0.05 < float(cells[5]) and "worse" not in cells[3]


def test_means_are_of_the_samples_that_the_difference_is_of(tmp_path, capsys):
    a = evaluation(tmp_path / "a", {"f1": [1.0] * 20 + [0.0] * 20})
    b = evaluation(tmp_path / "b", {"f1": [None] * 20 + [0.5] * 20})
    assert compare.main([str(a), str(b)]) == 0
    cells = rows(capsys.readouterr().out)["slake f1"][1]
    assert cells[1:3] == ["0.000", "0.500"] and cells[3].startswith("+0.500 (")
    assert cells[6:] == ["20", "10"]


def test_units_are_images_samples_or_patients(tmp_path, capsys):
    scores = {"f1": draw(0.5, 120)}
    a, b = (str(evaluation(tmp_path / x, scores, per_image=3, images_each=4)) for x in "ab")
    for options, units in (([], 40), (["--by=sample"], 120), (["--by=patient"], 10)):
        assert compare.main([a, b, *options]) == 0
        assert rows(capsys.readouterr().out)["slake f1"][1][7] == str(units)


def test_an_evaluation_of_before_is_compared_by_what_means_the_same(tmp_path, capsys):
    x = draw(0.6, 60)
    new = {"f1": x, "recall": x, "accuracy": 0 * x, "accuracy_published": x, "recall_published": x}
    b = evaluation(tmp_path / "b", new)
    a = evaluation(tmp_path / "a", dict.fromkeys(("f1", "recall", "accuracy"), x), version=1)
    assert compare.main([str(a), str(b)]) == 0
    out = capsys.readouterr().out
    assert set(rows(out)) == {
        "slake f1", "slake accuracy_published", "slake recall_published"
    }  # fmt: skip
    assert rows(out)["slake f1"][1][7] == "30"  # The images, although records do not name them.
    assert "scored by versions 1 and 2 of the metrics" in out


def test_the_paper_is_compared_with_the_published_forms(tmp_path, capsys):
    right = np.arange(1053) < 0.88 * 1053
    scores = {"f1": right, "recall": 0 * right, "accuracy": 0 * right}
    published_forms = {"recall_published": right, "accuracy_published": right}
    folder = evaluation(tmp_path / "new", scores | published_forms)
    assert compare.main([str(folder), "--published=detection"]) == 0
    out = capsys.readouterr().out
    assert out.count("| inside |") == 3 and "earlier version" not in out
    old = evaluation(tmp_path / "old", {k: right for k in scores}, version=1)
    assert compare.main([str(old), "--published=detection"]) == 0
    assert re.search("earlier version.*published forms.*by question", capsys.readouterr().out)


def test_a_score_that_an_evaluation_lacks_is_named_and_another_entry_may_have_it(tmp_path, capsys):
    right = np.arange(1053) < 0.88 * 1053
    folder = evaluation(tmp_path, {"report_f1": right}, kind="grounded")
    assert compare.main([str(folder), "--published=detection"]) == 2
    said = capsys.readouterr()
    assert "not compared: SLAKE F1: no f1 in slake (slake validation)" in said.out
    assert "no score of the published protocol" in said.err
    made_evaluation.add(folder, "questions", {"f1": right})
    assert compare.main([str(folder), "--published=detection"]) == 0
    out = capsys.readouterr().out
    assert "| SLAKE F1, n = 1053 |" in out and "no recall_published in questions (slake" in out


@pytest.mark.parametrize("spoil", ["intervals", "type", "n"])
def test_an_entry_that_lacks_a_field_is_named(tmp_path, capsys, spoil):
    folder = evaluation(tmp_path, {"f1": draw(0.5)})
    summary = json.loads((folder / "summary.json").read_text())
    del summary["evals"]["slake"][spoil]
    (folder / "summary.json").write_text(json.dumps(summary))
    assert compare.main([str(folder), "--published=detection"]) == 2
    assert re.search(rf"summary.json is broken .*slake: no {spoil}", capsys.readouterr().err)


def test_other_questions_are_not_compared(tmp_path, capsys):
    a = evaluation(tmp_path / "a", {"f1": draw(0.5)})
    b = evaluation(tmp_path / "b", {"f1": draw(0.5)}, reference="no")
    assert compare.main([str(a), str(b)]) == 2
    err = capsys.readouterr().err
    assert "nothing to compare: slake: left out, other references in 400 of 400 samples" in err
    c = evaluation(tmp_path / "c", {"f1": draw(0.5)}, name="vqa_rad")
    assert compare.main([str(a), str(c)]) == 2
    err = capsys.readouterr().err
    assert "slake: in A alone (type 'vqa' on slake validation); B asked nothing under" in err
    assert "vqa_rad: in B alone (type 'vqa' on vqa_rad validation); A asked nothing under" in err


@pytest.mark.parametrize(
    "other, why",
    [
        (
            dict(kind="grounded"),
            "of different kinds: A is of type 'vqa' on slake test, B of type 'grounded' on slake",
        ),
        (dict(split="train"), "A is of type 'vqa' on slake test, B of type 'vqa' on slake train"),
        (dict(control="blank"), "B of type 'vqa' on slake test, control blank"),
        (dict(n=40), "other questions: A has 60 samples, B has 40"),
        (dict(score="recall"), "no score counts in both: A has f1, B has recall"),
        (dict(per_image=3), "other questions in "),
    ],
)
def test_what_cannot_be_compared_is_said_with_its_reason(tmp_path, capsys, other, why):
    made_evaluation.write(tmp_path / "a", {"f1": draw(0.5, 60)}, split="test")
    scores = {other.pop("score", "f1"): draw(0.5, other.pop("n", 60))}
    reference = "no" if other.keys() & {"kind", "split", "control"} else "yes"
    options = dict(split="test", reference=reference) | other
    made_evaluation.write(tmp_path / "b", scores, **options)
    assert compare.main([str(tmp_path / "a"), str(tmp_path / "b")]) == 2
    assert "slake: left out, " in (err := capsys.readouterr().err) and why in err


def test_evaluators_of_another_kind_that_asked_the_same_are_compared_and_named(tmp_path, capsys):
    for name, split in (("a", "test"), ("b", "validation")):
        made_evaluation.write(tmp_path / name, {"f1": draw(0.5, 60)}, split=split)
    assert compare.main([str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    out = capsys.readouterr().out
    assert "slake f1" in rows(out) and "A is of type 'vqa' on slake test, B of type" in out


@pytest.mark.parametrize(
    "f1, verdict, code", [(0.877, "inside", 0), (0.93, "above", 0), (0.7, "below", 1)]
)
def test_a_run_beside_the_paper(tmp_path, capsys, f1, verdict, code):
    right = np.arange(1053) < f1 * 1053
    scores = {"f1": right, "recall_published": right, "accuracy_published": np.full(1053, 0.903)}
    folder = evaluation(tmp_path, scores)
    assert compare.main([str(folder), "--published=detection"]) == code
    out = capsys.readouterr().out
    row = next(x for x in out.splitlines() if x.startswith("| SLAKE F1, n = 1053"))
    assert f"87.7 ±2.4 | {verdict} |" in row
    assert "| 72.3 |" in row and "| 24.5 |" in row  # Of MedGemma 4B and PaliGemma 2.
    assert "SLAKE accuracy, n = 1053 | 90.3 (90.3 to 90.3) | 90.3 ±2.7 | inside" in out
    assert "not compared: VQA-RAD F1: the run has no vqa_rad test" in out
    assert "not compared: G-IoU" in out


def test_another_n_is_not_comparable_and_says_so(tmp_path, capsys):
    folder = evaluation(tmp_path, {"f1": draw(0.9), "recall": draw(0.9), "accuracy": draw(0.9)})
    assert compare.main([str(folder), "--published=detection"]) == 2
    said = capsys.readouterr()
    assert "slake validation has n = 400, published 1053" in said.out
    assert "no score of the published protocol" in said.err


@pytest.mark.parametrize(
    "options, message",
    [
        ([], "give a second evaluation, or --published"),
        (["--published=mine"], "there are detection, segmentation"),
        (["nowhere"], "summary.json does not exist: evaluate first"),
    ],
)
def test_what_cannot_be_done_is_an_error(tmp_path, capsys, options, message):
    folder = evaluation(tmp_path / "a", {"f1": draw(0.9)})
    assert compare.main([str(folder), *options]) == 2
    assert message in capsys.readouterr().err


def test_a_broken_summary_is_named(tmp_path, capsys):
    folder = evaluation(tmp_path / "a", {"f1": draw(0.9)})
    (folder / "summary.json").write_text("{")
    assert compare.main([str(folder), "--published=detection"]) == 2
    assert "summary.json is broken" in capsys.readouterr().err


def test_the_published_table_has_each_of_our_own_scores_with_an_interval():
    for model in published.OWN:
        assert published.MODELS[model].keys() == published.PROTOCOL.keys()
        assert all(x.half > 1 for x in published.MODELS[model].values())
    assert published.MODELS["segmentation"]["VQA-RAD accuracy"] == published.Published(65.9, 4.4)
