"""The declared fields of an example are those that the ops read and write."""

import ast
import pathlib

import numpy as np
import pytest

from big_rad import pp as pp_package
from big_rad.pp import builder, packed
from big_rad.pp.example import Before, Example, Text
from big_rad.pp.ops import OPS
from big_rad.registry import parse_call
from tests.helpers import declared

SEGMAP = np.zeros((40, 40), np.uint8)
SEGMAP[4:20, 4:20] = 5
IMAGE = {
    "id": "image", "patient": "p", "modality": "CT", "plane": "axial", "body_part": "abdomen",
    "image": packed.pack(np.zeros((40, 40), np.int16)), "segmap": packed.pack(SEGMAP),
    "boxes": [[4, 4, 20, 20, 5], [22, 22, 30, 30, 1]], "unsure": [2],
}  # fmt: skip
REPORT = {
    "task": "report", "lang": "en", "sentence": "Liver , right of the liver .", "clinical": "Pain",
    "question": "Liver?", "keywords": [["Liver", 5], ["liver", 5]], "places": [0, 21],
    "template": "t",
}  # fmt: skip
QUESTION = {
    "task": "vqa", "lang": "en", "question": "Which?", "answer": "CT", "source": "metadata",
    "question_type": "multiple", "choices": ["CT", "MR"], "template": "t",
}  # fmt: skip
TRAIN = "tok(length=128, max_text=60, pack=True, masks=4)"
# For each run: the image of an example, its texts, and the ops. All runs together use all fields.
RUNS = {
    "training": (IMAGE, [REPORT, QUESTION], "load|augment(shift=2, channel_repeat=1.0)|"
                 "normalize('medgemma')|resize(28)|clean|detect_vqa(n=2)|prompt(n='all')|"
                 f"ground('boxes')|{TRAIN}"),
    "masks": (IMAGE, [REPORT], "view('first')|without('spleen')|load|normalize('medgemma')|"
              f"resize(28)|prompt(n='all')|ground('masks')|{TRAIN}|keep('image', 'text')"),
    "evaluation": ({k: v for k, v in IMAGE.items() if k not in ("segmap", "boxes")}, [QUESTION],
                   "load|normalize('medgemma')|resize(28)|prompt('vqa')|ground('masks')|"
                   "tok(length=64, max_text=60, answer=False, masks=4)"),
    "pair": (IMAGE, [REPORT, QUESTION], "load|normalize('medgemma')|resize(28)|caption(length=64)"),
    "colour": (IMAGE | {"image": np.zeros((40, 40, 3), np.uint8), "modality": "OT"}, [QUESTION],
               "load(28)|normalize('medgemma')|prompt('vqa')|ground('none')"),
}  # fmt: skip


def steps(run):
    """Yields the name of each op, and the example before and after it."""
    image, texts, string = RUNS[run]
    if run == "masks":
        start = {"id": "item", "patient": "p", "images": [image | {"texts": texts}]}
    else:
        start = image | {"texts": texts}
    example = start | {"rng": np.random.default_rng(0)}
    for part in builder.split(string):
        name, args, kwargs = parse_call(part)
        after = OPS.get(name)(*args, **kwargs)(example)
        yield name, example, after
        example = after


def added(run):
    """Returns (op, kind, field) for each field that an op added to the example or to a text."""
    found = set()
    for name, before, after in steps(run):
        kept = before | (before.get("images") or [{}])[0]
        found |= {(name, "Example", k) for k in after.keys() - kept.keys()}
        old = kept.get("texts") or []
        for i, text in enumerate(after.get("texts") or []):
            known = old[i].keys() if i < len(old) else set()
            found |= {(name, "Text", k) for k in text.keys() - known}
    return found


def test_every_op_of_the_registry_is_run_here():
    used = {parse_call(part)[0] for *_, string in RUNS.values() for part in builder.split(string)}
    assert used == set(OPS.names())


@pytest.mark.parametrize("run", RUNS)
def test_ops_write_only_declared_fields(run):
    for name, _, after in steps(run):
        assert not declared.undeclared(after), name


def test_the_comment_behind_a_field_names_the_ops_that_add_it():
    ops = set(OPS.names())
    said = {
        (op, kind.__name__, field)
        for kind in (Example, Text)
        for field, names in declared.adders(kind).items()
        for op in names & ops
    }
    really = set().union(*map(added, RUNS))
    # `load` adds these fields if the example has only a path.
    from_file = {("load", "Example", k) for k in ("image", "modality", "plane")}
    assert said == really | from_file
    others = {n for k in (Example, Text) for names in declared.adders(k).values() for n in names}
    assert others - ops == {"record", "caller", "pipeline"}


def reads(tree):
    """Yields (kind, field) for each field that a function reads of an annotated parameter.

    The parameter must be annotated as an example or a text.
    """
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        kinds, lists = {}, {"texts"}
        for argument in function.args.args:
            says = ast.unparse(argument.annotation) if argument.annotation else ""
            if says in ("Text", "Example", "Before", "Example | Before"):
                kinds[argument.arg] = says
            elif says in ("list[Text]", "Sequence[Text]"):
                lists.add(argument.arg)
        for node in ast.walk(function):
            if isinstance(node, ast.comprehension) and isinstance(node.target, ast.Name):
                if any(name in ast.unparse(node.iter) for name in lists):
                    kinds[node.target.id] = "Text"
        for node in ast.walk(function):
            match node:
                case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(key))):
                    pass
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id=name), attr="get" | "pop" | "setdefault"),
                    args=[ast.Constant(value=str(key)), *_],
                ):
                    pass
                case ast.Compare(
                    left=ast.Constant(value=str(key)), comparators=[ast.Name(id=name)]
                ):
                    pass
                case _:
                    continue
            if name in kinds:
                yield kinds[name], key


def test_ops_read_only_declared_fields():
    fields = {k.__name__: k.__annotations__.keys() for k in (Example, Text, Before)}
    fields["Example | Before"] = fields["Example"] | fields["Before"]
    found = {
        (path.name, *read)
        for path in pathlib.Path(pp_package.__file__).parent.glob("*.py")
        for read in reads(ast.parse(path.read_text("utf-8")))
    }
    assert len(found) > 50
    assert not {(file, kind, key) for file, kind, key in found if key not in fields[kind]}
