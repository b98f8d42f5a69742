"""What prediction needs: requirements/infer.txt, and none of the packages of training.

`.ci/light` runs this file where only these are installed, in the versions of Colab's image.
"""

import ast
import pathlib
import re
import subprocess
import sys

import pytest

from big_rad import extras
from big_rad.predict import RadGrounder
from tests.helpers import radgrounders

ROOT = pathlib.Path(__file__).parents[1]
# Their names as they are imported.
TRAINING = ("grain", "tensorflow_datasets", "array_record", "pyarrow", "optax", "clu", "httpx",
            "tensorboardX", "krippendorff", "sacrebleu", "rouge_score")  # fmt: skip


def names(file):
    """The packages that a file of requirements names, as pip spells them."""
    lines = (ROOT / file).read_text().splitlines()
    found = (re.match(r"[\w.-]+", line) for line in lines if not line.startswith("#"))
    return {m[0].lower().replace("_", "-") for m in found if m}


def test_prediction_imports_nothing_of_training():
    code = f"""
import sys
import big_rad.predict, big_rad.pages.series
print(sorted(set({TRAINING}) & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_what_prediction_needs_is_among_the_requirements_of_training():
    light, all_ = names("requirements/infer.txt"), names("requirements.txt")
    assert light <= all_
    assert not light & {n.replace("_", "-") for n in TRAINING}
    # The notebooks take both from Colab.
    assert light | names("requirements/colab.txt") >= all_


def test_a_missing_package_of_training_names_the_extra():
    with pytest.raises(ModuleNotFoundError, match=r"no_such_package .*big_rad\[train\]") as caught:
        with extras.needed("train"):
            import no_such_package  # noqa: F401
    assert caught.value.name == "no_such_package"


def _unguarded(node, guarded=False):
    # Yields the imports of packages of training that stand outside `extras.needed("train")`.
    if isinstance(node, ast.With):
        guarded |= any(ast.unparse(i) == "extras.needed('train')" for i in node.items)
    if isinstance(node, ast.Import | ast.ImportFrom) and not guarded:
        whole = [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        yield from (n for n in whole if n and n.split(".")[0] in TRAINING)
    for child in ast.iter_child_nodes(node):
        yield from _unguarded(child, guarded)


def test_every_import_of_a_package_of_training_names_the_extra_if_it_is_missing():
    paths = [p for folder in ("big_rad", "configs", "tools") for p in (ROOT / folder).rglob("*.py")]
    assert len(paths) > 200
    found = {str(p): list(_unguarded(ast.parse(p.read_text(encoding="utf-8")))) for p in paths}
    assert {path: names for path, names in found.items() if names} == {}


def test_a_run_answers(tmp_path):
    model = RadGrounder.load(radgrounders.write_run(tmp_path / "run"), log=lambda line: None)
    found = model.report(radgrounders.grey(40, 50), max_new_tokens=8)
    assert found.tokens <= 8 and found.confidence is not None
