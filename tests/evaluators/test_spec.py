"""Tests the class attributes of evaluators, and how an entry of a config names a class."""

import sys
import types

import pytest

from big_rad import evaluators
from big_rad.evaluators import base, functions
from big_rad.evaluators import spec as spec_lib
from big_rad.evaluators.spec import Score
from tests.helpers import imports

NAMES = spec_lib.names()


def test_data_key_depends_on_the_data_part_only():
    spec = dict(type="vqa", builder="x", split="test", pp="load", expand=dict(task="vqa"))
    same = {**spec, "control": "blank", "batch_size": 3, "every": 7}
    other = {**spec, "expand": dict(task="report")}
    assert spec_lib.data_key(spec) == spec_lib.data_key(same) != spec_lib.data_key(other)


@pytest.fixture
def module(monkeypatch):
    """Returns a function that makes a module with a class, or with a class of some attributes.

    The function returns the dotted name of the module.
    """

    def made(cls=None, **stated):
        cls = cls or type("Evaluator", (spec_lib.Statement,), stated)
        module = types.ModuleType("somebodys.evaluator")
        module.Evaluator = cls
        monkeypatch.setitem(sys.modules, "somebodys", types.ModuleType("somebodys"))
        monkeypatch.setitem(sys.modules, "somebodys.evaluator", module)
        return "somebodys.evaluator"

    return made


def test_the_types_of_the_package_are_found_by_import_and_are_all_that_have_a_class():
    assert {"grounded", "vqa"} <= set(NAMES)
    for name in NAMES:
        cls = spec_lib.find(name)
        assert (
            cls
            is spec_lib.class_of(name)
            is spec_lib.find(f"big_rad.evaluators.{name}")
            is spec_lib.class_of(cls)
        )
        assert cls.__module__ == f"big_rad.evaluators.{name}"


@pytest.mark.parametrize("name", NAMES)
def test_what_a_class_states_fits_together(name):
    cls = spec_lib.find(name)
    names = [s.name for s in cls.scores]
    assert len(names) == len(set(names)) and set(cls.main) <= set(cls.labels())
    titled = [bool(s.title) for s in cls.scores]
    assert titled == sorted(titled, reverse=True)  # Scores with a title must come first.
    assert set(cls.needs) <= set(functions.MAKERS) and "none" not in cls.controls
    assert all(cls.titles) and cls.task in ("", "report", "vqa") and not cls.missing
    for score in cls.scores:
        for group in list(score.groups)[:3]:
            assert cls.stated(f"{score.name}_{group}").name in (
                score.name,
                f"{score.name}_{group}",
            )


def test_no_two_types_of_the_package_share_a_place_or_a_title():
    classes = [spec_lib.find(n) for n in NAMES]
    titled = [c for c in classes if c.titles]
    assert len({c.place for c in titled}) == len(titled)
    names = [t for c in classes for t in c.titles]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "kind, said",
    [
        ("grunded", "did you mean 'grounded'"),
        ("base", "known: grounded, retrieval"),  # Its class is abstract.
        ("spec", "known: grounded, retrieval"),
        ("page", "known: grounded, retrieval"),
        (None, "known: grounded, retrieval"),
        ("../vqa", "did you mean 'vqa'"),
        ("vqa ", "did you mean 'vqa'"),
        (".vqa", "known"),
        ("nobodys.evaluator", "cannot be imported .*No module named 'nobodys'.*known: grounded"),
        ("json.decoder", "no class Evaluator that derives from big_rad.evaluators.spec.Statement"),
    ],
)
def test_a_type_that_is_none_is_refused_with_what_there_is(kind, said):
    with pytest.raises(ValueError, match=f"^config.evals.x.type is .*{said}"):
        evaluators.check("x", dict(type=kind))
    gone = spec_lib.class_of(kind)
    assert gone.missing.startswith(repr(kind)) and "known" not in gone.missing
    assert (gone.scores, gone.main, gone.controls, gone.groups([{}])) == ((), (), (), {})


@pytest.mark.parametrize(
    "stated, said",
    [
        (dict(), "states no main score"),
        (dict(scores=(Score("a"),)), "states no main score"),
        (dict(scores=(Score("a"),), main=("b",)), "'b' as a main score.* are a"),
        (dict(scores=(Score("a"),), main="a"), r"give a tuple, \('a',\)"),
        (dict(scores=(Score("a"),), main=("a",), controls=("blnk",)), "control 'blnk'; known"),
        (dict(scores=(Score("a"),), main=("a",), needs=("los",)), "did you mean 'loss'"),
        (dict(scores=(Score("a"),), main=("a",), needs=("rank",)), "function 'rank' of a model"),
    ],
)
def test_a_class_that_states_too_little_is_refused_with_what_to_state(module, stated, said):
    with pytest.raises(ValueError, match=said):
        evaluators.check("x", dict(type=module(**stated)))


def test_options_are_those_of_the_signature_and_of_the_bases_that_it_passes_them_to():
    class Own(base.Evaluator):
        def __init__(self, *args, depth, width=2, **more):
            super().__init__(*args, **more)

    class Alone(spec_lib.Statement):
        def __init__(self, functions, data, name, tokenizer, samples_dir=None, batch_size=3):
            pass

    class Below(Own):
        def __init__(self, functions, data, *, name, tokenizer, samples_dir=None, only_this=0):
            pass

    every = set(spec_lib.options(base.Evaluator))
    assert {"batch_size", "max_new_tokens", "control", "codec", "grid", "blank_value"} == every
    assert set(spec_lib.options(Own)) == every | {"depth", "width"}
    assert spec_lib.options(Alone) == {"batch_size": 3}
    assert spec_lib.options(Below) == {"only_this": 0}
    assert spec_lib.options(spec_lib.Statement) == {}
    assert "captions" in spec_lib.options(spec_lib.find("grounded"))
    assert "captions" not in spec_lib.options(spec_lib.find("vqa"))


def test_an_option_without_a_default_is_asked_for_and_a_control_needs_a_class_that_takes_one(
    module,
):
    class Own(spec_lib.Statement):
        scores, main = (Score("a"),), ("a",)

        def __init__(self, functions, data, *, name, tokenizer, samples_dir=None, depth):
            pass

    entry = dict(type=module(Own), builder="x", every=3, control="none")
    with pytest.raises(ValueError, match="config.evals.x.depth is missing, and type 'somebodys"):
        evaluators.check("x", entry)
    assert evaluators.check("x", entry | {"depth": 1}) is Own
    with pytest.raises(ValueError, match="unknown control; known: asked.*depth"):
        evaluators.check("x", entry | {"depth": 1, "control": "blank"})
    with pytest.raises(ValueError, match="unknown dept; .*did you mean 'depth'"):
        evaluators.check("x", entry | {"dept": 1})


def test_groups_options_and_judges_decide_which_scores_there_are():
    class Own(spec_lib.Statement):
        scores = (
            Score("f1", groups=("de", "open"), lowest=True),
            Score("f1_open"),
            Score("cider", option="captions"),
            Score("grade", judged=True),
            Score("n_ref", groups=("liver",), count=True, whole=False),
        )

    assert Own.names({}) == ["f1", "f1_open"]
    assert Own.names({"captions": True}) == ["f1", "f1_open", "cider"]
    assert Own.stated("f1_de").name == "f1" and Own.lowest("f1_de") and not Own.lowest("f1_open")
    assert Own.stated("n_ref") is None and Own.stated("n_ref_liver").count
    assert Own.stated("f1_fr") is None and Own.stated("x") is None and not Own.lowest("x")


@pytest.mark.parametrize("module", ["big_rad.pages.run", "big_rad.pages.evaluation", *NAMES])
def test_pages_and_what_classes_state_do_without_the_input_pipeline(module):
    name = module if "." in module else f"big_rad.evaluators.{module}"
    found = imports.along_with(name)
    assert "big_rad.evaluators.spec" in found and "numpy" in found
    heavy = {"grain", "tensorflow_datasets", "array_record", "big_rad.input_pipeline"}
    assert not heavy & {n.partition(".")[0] if "big_rad" not in n else n for n in found}


def test_predict_imports_no_evaluator():
    found = {n for n in imports.along_with("big_rad.predict") if "big_rad.evaluators." in n}
    assert found <= {"big_rad.inference.draw", "big_rad.evaluators.spec"}  # No model, no data.
    # Shows that `along_with` would find such an import.
    assert "big_rad.input_pipeline" in imports.along_with("big_rad.train")
