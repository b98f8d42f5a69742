"""Tests the search with embeddings that are given by hand."""

import json

import numpy as np
import pytest

from big_rad.evaluators import before_after, retrieval
from big_rad.evaluators import samples as sample_files
from tests.helpers import pairs

N = 30
EYE = np.eye(N)
DIFFERENT = [f"Lesion {i}." for i in range(N)]


def constant(_):
    return EYE[0]


def number_of(text):
    return int(text.split()[1].rstrip("."))


def found(rows, of_image, of_text, **options):
    """Returns the evaluator after its run, and its scores."""
    functions = pairs.towers(of_image, of_text)
    options = {"name": "x", "batch_size": 8, **options}
    made = retrieval.Evaluator(functions, pairs.data(rows), **options)
    return made, dict(made.run(None))


def rows(texts=DIFFERENT):
    return [{"text": text} for text in texts]


def perfect(i):
    return constant(i) if i is None else EYE[i]


def test_a_perfect_model_finds_every_text_and_every_image():
    _, scores = found(rows(), perfect, lambda text: EYE[number_of(text)])
    assert all(scores[f"r{k}_{way}"] == 1 for k in (1, 5, 10) for way in ("text", "image"))
    assert scores["n"] == N and scores["chance_r10_text"] == pytest.approx(10 / N)


@pytest.mark.parametrize("texts", [DIFFERENT, [f"Lesion {i % 7}." for i in range(N)]])
def test_a_constant_model_has_exactly_the_level_of_chance(texts):
    _, scores = found(rows(texts), constant, constant)
    for way in ("text", "image"):
        assert scores[f"r10_{way}"] == pytest.approx(scores[f"chance_r10_{way}"], abs=1e-12)
        assert scores[f"r1_{way}"] < scores[f"r5_{way}"] < scores[f"r10_{way}"] < 1


def test_equal_sentences_are_hits_and_raise_the_level_of_chance():
    texts = ["Lesion 0."] * 2 + DIFFERENT[2:]
    seen = [0, 0, *range(2, N)]
    _, scores = found(rows(texts), lambda i: EYE[seen[i]], lambda text: EYE[number_of(text)])
    assert scores["r1_text"] == scores["r1_image"] == 1
    # A search among 30 finds one of two right answers in its first 10 unless both are among the
    # other 20.
    two = 1 - (20 * 19) / (30 * 29)
    for way in ("text", "image"):
        want = (2 * two + 28 / 3) / N
        assert scores[f"chance_r10_{way}"] == pytest.approx(want)


def test_the_gallery_has_one_image_of_each_patient():
    several = [{"text": text, "patient": f"p{i // 3}"} for i, text in enumerate(DIFFERENT)]
    made, scores = found(several, perfect, lambda text: EYE[number_of(text)])
    assert scores["n"] == N / 3
    assert [r["index"] for r in made.records] == list(range(0, N, 3))
    assert [r["subject"] for r in made.records] == list(range(N // 3))


def test_a_run_is_compared_with_the_one_before_over_the_images_that_were_asked(tmp_path):
    several = [{"text": text, "patient": f"p{i // 3}"} for i, text in enumerate(DIFFERENT)]
    made, _ = found(several, constant, constant)
    before_after.keep({"x": made}, tmp_path)
    made, _ = found(several, perfect, lambda text: EYE[number_of(text)])
    rows = {r.score: r for r in before_after.compare({"x": made}, tmp_path)}
    assert rows["r1_text"].difference.mean == pytest.approx(0.9)
    assert rows["r1_text"].difference.clusters == N / 3


@pytest.mark.parametrize("control", ["blank", "shuffled"])
def test_without_its_image_a_perfect_model_finds_no_more_than_by_chance(control):
    _, scores = found(rows(), perfect, lambda text: EYE[number_of(text)], control=control)
    assert scores["r10_text"] <= scores["chance_r10_text"] + 1e-12
    if control == "blank":  # All images are equal, so each text has the same chance.
        assert scores["r10_image"] == pytest.approx(10 / N)


def test_a_line_for_each_pair_holds_the_text_that_was_found_and_no_name(tmp_path):
    shifted = [*range(1, N), 0]
    made, _ = found(
        rows(), lambda i: EYE[shifted[i]], lambda text: EYE[number_of(text)], samples_dir=tmp_path
    )
    text = (tmp_path / "x.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert "Doe" not in text and len(lines) == N
    assert lines[0]["reference"] == "Lesion 0." and lines[0]["prediction"] == "Lesion 1."
    assert {r["scores"]["r1_text"] for r in lines} == {0.0}
    shown = sample_files.illustrated(made.records, retrieval.Evaluator)
    assert set(sample_files.read(tmp_path, "x")[1]) == {r["index"] for r in shown} != set()
