"""Tests that records become items, and that a calibration takes the right questions."""

import json

import numpy as np
import pytest

from big_rad.evaluators import samples as sample_files
from big_rad.evaluators import spec as spec_lib
from big_rad.inference import calibration
from tests.helpers import confident
from tools import calibrate

VQA, GROUNDED = spec_lib.find("vqa"), spec_lib.find("grounded")
SPEC = dict(builder="phantom", builder_args={"config": "demo"}, split="test", pp="load")
EVALS = {
    "vqa": SPEC | dict(type="vqa", sha256="abc", limit=8),
    "vqa_blank": SPEC | dict(type="vqa", control="blank"),
    "report": SPEC | dict(type="grounded", expand=dict(task="report")),
    "loss": SPEC | dict(type="xent"),
}
TRAINED = {"phantom": dict(builder="phantom", split="train", builder_args={"config": "demo"})}


def confidence(item):
    return dict(kind=item.kind, features=item.features, score=item.score, calibrated=None)


def question(i, item):
    return dict(index=i, id=f"q{i}", image=f"i{i}", prompt="?", lang=item.lang,
                scores={"accuracy": item.outcome}, confidence=confidence(item))  # fmt: skip


def entry(**fields):
    return SPEC | dict(type="vqa", dataset="phantom", sha256="ab", n=3) | fields


def test_the_outcome_of_an_answer_is_its_accuracy():
    some = confident.items(20)
    found = [calibrate.items_of(question(i, x), x.patient, VQA)[0] for i, x in enumerate(some)]
    assert found == some
    unscored = question(0, some[0]) | {"scores": {"accuracy": None}}
    assert calibrate.items_of(unscored, "p", VQA) == []
    assert calibrate.items_of(question(0, some[0]), "p", GROUNDED) == []  # A report's words.


def test_the_outcome_of_a_place_is_its_iou_and_0_without_a_match():
    said = dict(kind="box", features={"phrase": 0.5}, score=0.5, calibrated=None)
    places = [dict(confidence=said, iou=0.6), dict(confidence=said), dict(confidence=None, iou=1.0)]
    record = dict(index=0, id="a", scores={}, lang="de", boxes={"prediction": places})
    found = calibrate.items_of(record, "p", GROUNDED)
    assert [x.outcome for x in found] == [0.6, 0.0]
    assert {(x.kind, x.lang, x.patient) for x in found} == {("box", "de", "p")}
    assert calibrate.items_of(record, "p", VQA) == []


def test_records_of_several_evaluators_give_one_calibration_and_a_table(tmp_path):
    some = confident.items(150) + confident.items(60, lang="de", seed=2)
    records = [question(i, x) for i, x in enumerate(some)]
    sample_files.write(tmp_path / "samples", "vqa", records, {})
    again = [r | {"index": i} for i, r in enumerate(records[:40])]
    sample_files.write(tmp_path / "samples", "yes_no", again, {})
    patients = dict(vqa=[x.patient for x in some], yes_no=[x.patient for x in some[:40]])
    evals, lines = {"vqa": entry(n=210), "yes_no": entry(sha256="cd", n=40)}, []
    items, sources = calibrate.read(tmp_path, evals, patients, lines.append)
    assert len(items) == 210 and lines == [
        "40 questions were asked by several evaluators and count once"
    ]
    assert [(s.evaluator, s.split, s.sha256) for s in sources] == [
        ("vqa", "test", "ab"), ("yes_no", "test", "cd"),
    ]  # fmt: skip
    made = calibrate.fitted(items, sources, lines.append)
    assert set(made.fits["yes_no"]) == {"", "en"} and set(made.left_out["yes_no"]) == {"de"}
    text = calibrate.table(made)
    assert "| yes_no | en | 150 | 75 | logistic |" in text
    assert "| yes_no | all | 210 | 105 | logistic |" in text
    assert "no fit: yes_no, de: 60 items" in text
    made.write(tmp_path / "a.json")
    assert calibration.read(tmp_path / "a.json") == made
    assert not {p for p in patients["vqa"]} & set((tmp_path / "a.json").read_text().split('"'))


def test_patients_of_two_datasets_are_two_patients(tmp_path):
    for name in ("a", "b"):
        sample_files.write(tmp_path / "samples", name, [question(0, confident.items(1)[0])], {})
    evals = {"a": entry(dataset="slake"), "b": entry(dataset="vqa_rad")}
    items, _ = calibrate.read(tmp_path, evals, {"a": ["1"], "b": ["1"]})
    assert len({x.patient for x in items}) == 2


def test_records_without_confidences_and_broken_records_are_errors(tmp_path):
    with pytest.raises(ValueError, match="hold no confidences"):
        calibrate.fitted([], [])
    with pytest.raises(ValueError, match="can be calibrated.*--limit=0"):
        calibrate.fitted(confident.items(9), [], lambda line: None)
    broken = question(0, confident.items(1)[0]) | {"confidence": {"kind": "yes_no", "score": 1}}
    sample_files.write(tmp_path / "samples", "vqa", [broken], {})
    with pytest.raises(ValueError, match="vqa.jsonl: record q0 is broken.*features"):
        calibrate.read(tmp_path, {"vqa": entry()}, {"vqa": ["1"]})


def test_the_evaluators_of_real_images_are_asked_on_the_other_split():
    lines = []
    found, notes = calibrate.chosen(EVALS, TRAINED, "validation", 50, lines.append)
    assert set(found) == {"vqa", "report"} and notes == []
    assert all((x["split"], x["limit"]) == ("validation", 50) for x in found.values())
    assert "sha256" not in found["vqa"] and found["report"]["expand"] == dict(task="report")
    assert lines == ["not asked, they are controls or give no confidences: vqa_blank, loss"]
    assert (
        calibrate.chosen(EVALS, TRAINED, "validation", 0, lines.append)[0]["vqa"]["limit"] is None
    )


def test_two_evaluators_that_differ_in_their_split_are_asked_once():
    evals = {"a": EVALS["vqa"], "b": EVALS["vqa"] | {"split": "validation"}}
    found, notes = calibrate.chosen(evals, TRAINED, "validation")
    assert set(found) == {"a"}
    assert len(notes) == 1 and "the scores of b are those of validation" in notes[0]


@pytest.mark.parametrize("split", ["train", "train[:5%]", "validation+train", "all", ""])
def test_training_splits_are_refused(split):
    with pytest.raises(ValueError, match="held-out split"):
        calibrate.chosen(EVALS, {}, split)


def test_a_split_that_the_run_was_trained_on_is_refused():
    also = {"more": TRAINED["phantom"] | {"split": "train+validation[:50%]"}}
    with pytest.raises(ValueError, match="vqa: .*trained on phantom validation.*input.more"):
        calibrate.chosen(EVALS, TRAINED | also, "validation")
    other = {"more": also["more"] | {"builder_args": {"config": "full"}}}
    assert calibrate.chosen(EVALS, TRAINED | other, "validation")[0]


def test_limits_are_said():
    _, notes = calibrate.chosen(EVALS, {}, "test[:50%]")
    assert "the scores of vqa, report are those of test" in notes[0] and "not known" in notes[1]


def test_nothing_to_calibrate_is_an_error():
    with pytest.raises(ValueError, match="--data=slake"):
        calibrate.chosen({"loss": EVALS["loss"]}, TRAINED, "validation")


@pytest.mark.parametrize(
    ("options", "said"),
    [([], "--out=FOLDER"), (["--out=x", "--limit=-1"], "--limit=-1"), (["--out=x", "--folder=a"],
     "--data=folder")],
)  # fmt: skip
def test_options_that_do_not_fit_are_errors(tmp_path, capsys, options, said):
    np.savez(tmp_path / "a.npz", x=np.zeros(1))
    assert calibrate.main([f"--checkpoint={tmp_path / 'a.npz'}", *options]) == 2
    assert said in capsys.readouterr().err


def test_a_missing_checkpoint_is_an_error(tmp_path, capsys):
    assert calibrate.main([f"--checkpoint={tmp_path / 'none'}"]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_the_training_data_of_a_folder_are_not_known(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "paligemma"}))
    assert calibrate.trained_on(str(tmp_path)) == {}
