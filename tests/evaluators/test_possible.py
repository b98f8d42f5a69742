"""Evaluators that have nothing to ask are left out by name before anything is asked."""

import numpy as np
import pytest

from big_rad.datasets import core
from big_rad.evaluators import data as eval_data
from big_rad.evaluators import possible

PP = "load|normalize('medgemma')|resize(28)|prompt()|tok(length=64, max_text=64, answer=False)"


class Source:
    """Slices with one English question each; `opened` lists the splits that were opened."""

    def __init__(self, patients, opened):
        self.patients, self.opened = patients, opened

    def __call__(self, spec, data_dir):
        self.opened.append(spec["split"])
        if spec["split"] == "gone":
            raise FileNotFoundError("no dataset; build it")
        return core.OneTextPerItem(self, **spec["expand"])

    def __len__(self):
        return len(self.patients)

    def __getitem__(self, i):
        text = dict(task="vqa", lang="en", question="Is it?", answer="yes", question_type="yesno")
        image = np.zeros((28, 28), np.int16)
        texts = [text | {"choices": [], "template": "t"}]
        return dict(id=f"s{i}", patient=self.patients[i], image=image, modality="CT", texts=texts)


def spec(control="none", split="test", pp=PP, limit=None, **expand):
    expand = dict(task="vqa") | expand
    return dict(type="vqa", builder="own", split=split, expand=expand, pp=pp, limit=limit,
                control=control)  # fmt: skip


@pytest.fixture
def open_all(monkeypatch):
    eval_data.clear_cache()
    opened, said = [], []

    def open_all(evals, patients=("a", "b"), **options):
        monkeypatch.setattr(core, "make_source", Source(patients, opened))
        return possible.open_all(evals, "d", said.append, **options)

    open_all.opened, open_all.said = opened, said
    yield open_all
    eval_data.clear_cache()


@pytest.mark.parametrize(
    "lacking, why",
    [
        (dict(lang="de"), "no text with task 'vqa', lang 'de'; its texts are 2 of vqa en"),
        (dict(task="report"), "no text with task 'report'; its texts are 2 of vqa en"),
        (
            dict(question_type="open"),
            "no text with task 'vqa', question_type 'open'; its texts are 2 of vqa en yesno",
        ),
    ],
)
def test_an_evaluator_without_anything_to_ask_is_left_out_with_its_controls(open_all, lacking, why):
    evals = {"there": spec(), "none": spec(**lacking), "none_blank": spec("blank", **lacking)}
    found = open_all(evals)
    assert list(found.data) == ["there"] and len(found.data["there"]) == 2
    assert found.left_out.keys() == {"none", "none_blank"}
    assert open_all.said == [f"{n}: left out, own test: it has {why}" for n in found.left_out]
    assert len(open_all.opened) == 2  # The data of a control are not opened again.


def test_an_empty_split_is_named(open_all):
    assert open_all({"vqa": spec()}, ()).left_out == {
        "vqa": "own test: it has no text to ask about"
    }


@pytest.mark.parametrize("patients, limit", [(("a", "a"), None), (("a", "b"), 1)])
def test_a_control_that_one_patient_does_not_allow_is_left_out(open_all, patients, limit):
    evals = {c: spec(c, limit=limit) for c in ("none", "blank", "shuffled")}
    found = open_all(evals, patients)
    assert list(found.data) == ["none", "blank"] and found.data["none"] is found.data["blank"]
    (line,) = open_all.said
    assert line.startswith("shuffled: left out, control shuffled: all images are of one patient")


def test_what_chooses_the_best_checkpoint_cannot_be_left_out(open_all):
    with pytest.raises(ValueError, match="config.evals.val chooses the best .*no text with.*'de'"):
        open_all({"vqa": spec(), "val": spec(lang="de")}, needed="val")


@pytest.mark.parametrize(
    "change, error, message",
    [
        (dict(split="gone"), FileNotFoundError, "config.evals.b: no dataset; build it"),
        (dict(pp="load|resize(2)"), ValueError, "config.evals.b: resize: the image is int16"),
        (dict(limit=0), ValueError, "config.evals.b: limit is 0"),
        (dict(control="blnk"), ValueError, "config.evals.b.control is 'blnk'.*blank"),
    ],
)
def test_errors_name_the_evaluator(open_all, change, error, message):
    with pytest.raises(error, match=message):
        open_all({"a": spec(), "b": spec(**change)})


def test_evaluators_of_the_same_data_come_one_after_the_other_and_free_it(open_all):
    names = {"a": spec(), "b": spec(split="train"), "a_blank": spec("blank")}
    found, order = open_all(names), []
    for name in found.by_data():
        order.append((name, [n for n in ("a", "b") if found.data[n]._kept]))
    assert order == [("a", ["a", "b"]), ("a_blank", ["a", "b"]), ("b", ["b"])]
    assert not found.data["b"]._kept
