import json

import numpy as np
import pytest

from big_rad.evaluators import published
from big_rad.evaluators import samples as sample_files
from big_rad.evaluators import summary as summaries
from tools import compare


def evaluation(folder, scores, name="slake", split="validation", reference="yes", control="none"):
    """Writes an evaluation with the given scores {score: [values]}; two questions an image."""
    n = len(next(iter(scores.values())))
    records = [
        {
            "index": i, "id": f"image-{i // 2}", "prompt": f"Question {i}?",
            "reference_text": reference, "lang": "en", "modality": "CT",
            "question_type": "open", "scores": {k: float(v[i]) for k, v in scores.items()},
        }
        for i in range(n)
    ]  # fmt: skip
    sample_files.write(folder / "samples", name, records, {})
    ids = summaries.clusters(records, "image", ())
    entry = {
        "type": "vqa", "dataset": name, "split": split, "control": control, "n": n,
        "intervals": summaries.intervals(records, ids, resamples=200),
    }  # fmt: skip
    summary = {"checkpoint": str(folder.name), "evals": {name: entry}}
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def draw(mean, n=400, seed=0):
    return (np.random.default_rng(seed).random(n) < mean).astype(float)


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
    assert out.count(" worse ") == 2 and " better " not in out  # More wrong sides are worse too.
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


def test_other_questions_are_not_compared(tmp_path, capsys):
    a = evaluation(tmp_path / "a", {"f1": draw(0.5)})
    b = evaluation(tmp_path / "b", {"f1": draw(0.5)}, reference="no")
    assert compare.main([str(a), str(b)]) == 2
    assert "nothing to compare: slake: other questions" in capsys.readouterr().err
    c = evaluation(tmp_path / "c", {"f1": draw(0.5)}, name="vqa_rad")
    assert compare.main([str(a), str(c)]) == 2
    assert "slake: in one of the two alone; vqa_rad: in one" in capsys.readouterr().err


@pytest.mark.parametrize(
    "f1, verdict, code", [(0.877, "inside", 0), (0.93, "above", 0), (0.7, "below", 1)]
)
def test_a_run_beside_the_paper(tmp_path, capsys, f1, verdict, code):
    right = np.arange(1053) < f1 * 1053
    scores = {"f1": right, "recall": right, "accuracy": np.full(1053, 0.903)}
    folder = evaluation(tmp_path, scores)
    assert compare.main([str(folder), "--published=detection"]) == code
    out = capsys.readouterr().out
    row = next(x for x in out.splitlines() if x.startswith("| SLAKE F1, n = 1053"))
    assert f"87.7 ±2.4 | {verdict} |" in row
    assert "| 72.3 |" in row and "| 24.5 |" in row  # MedGemma 4B and PaliGemma 2
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
