"""Tests the training, memory and decoding benchmarks on the smallest model.

The speeds do not matter here, so XLA's slow optimisations are switched off.
"""

import json
import pathlib
import subprocess
import sys

import jax
import pytest

from tools import bench
from tools.benchmarks import decode, techniques, train

ROOT = pathlib.Path(__file__).parents[2]
SHORT = ["--size=tiny", "--batch=2", "--batches=1", "--rounds=1", "--no-data"]

# Refuses to import any package except the seven that a GPU machine needs and their requirements.
GUARD = """
import importlib.metadata as metadata, re, runpy, sys

def closure(names):
    found, left = set(), list(names)
    while left:
        name = re.sub(r"[-_.]+", "-", left.pop()).lower()
        if name in found:
            continue
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        left += [re.match(r"[\\w.-]+", n)[0] for n in needs if "extra ==" not in n]
    return found

# An editable installation owns the checkout's own packages; what it requires is refused.
kept = closure(
    ["jax", "jaxlib", "flax", "optax", "ml-collections", "numpy", "einops", "jaxtyping"]
) | {"big-rad"}
refused = {
    module
    for module, owners in metadata.packages_distributions().items()
    if not {re.sub(r"[-_.]+", "-", o).lower() for o in owners} & kept
}
assert {"torch", "transformers", "grain", "clu", "pydicom", "sentencepiece"} <= refused

class Guard:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"refused: {name}", name=name)

sys.meta_path.insert(0, Guard())
sys.argv = ["tools.bench", *sys.argv[1:]]
runpy.run_module("tools.bench", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(autouse=True, scope="module")
def quick_compilation():
    """Switches off slow compiler optimisations in this process and its children."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
        jax.config.update("jax_disable_most_optimizations", True)
        yield
        jax.config.update("jax_disable_most_optimizations", False)


def run(command, tmp_path):
    """Runs a command in this process and returns its figures."""
    bench.main([*command, f"--json={tmp_path / 'bench.json'}"])
    return json.loads((tmp_path / "bench.json").read_text())


@pytest.mark.slow
def test_training_without_data_needs_seven_packages_alone(tmp_path):
    path = tmp_path / "bench.json"
    subprocess.run(
        [sys.executable, "-c", GUARD, "train", *SHORT, "--peer=plain", f"--json={path}"],
        cwd=ROOT,
        check=True,
    )
    # Importing the prepared run must not need other packages, except for the peer.
    prepared = [sys.executable, "-c", GUARD, "gpu", "--help"]
    assert subprocess.run(prepared, cwd=ROOT, capture_output=True, check=True).stdout
    result = json.loads(path.read_text())
    assert result["plain"]["ratio"] == 1 and result["ratio"] == result["big_rad"]["ratio"] > 0
    first = result["first_losses"]
    assert abs(first["plain"] - first["big_rad"]) < 1e-4


@pytest.mark.slow
def test_transformers_trains_on_the_same_loss_in_both_its_ways(tmp_path, capsys):
    result = run(["train", *SHORT, "--peer=hf"], tmp_path)
    first = result["first_losses"]
    assert set(first) == {train.OURS, train.HF, train.HF_EQUAL}
    assert max(first.values()) - min(first.values()) < 1e-4 < min(first.values())
    assert result["ratio"] == result[train.OURS]["ratio"] > 0
    assert result["ratio_equal_shapes"] > 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in first)


@pytest.mark.slow
def test_transformers_writes_the_same_tokens(tmp_path):
    command = ["decode", "--size=tiny", "--batch=2", "--tokens=6", "--rounds=1"]
    result = run(command, tmp_path)["2"]
    assert result["equal_tokens"] == 1
    assert set(result["token"]) == {decode.OURS, decode.HF}
    assert result["ratio"] == result["whole"][decode.OURS]["ratio"] > 0


def test_seconds_a_token_leave_prefill_out():
    assert decode.per_token([5.0, 9.0], [1.0, 1.0], tokens=5) == [1.0, 2.0]


class _Fixed:
    def __init__(self, loss):
        self.first_loss = lambda: loss


def test_ways_of_another_loss_are_refused():
    with pytest.raises(SystemExit, match="do not compute the same loss"):
        train.check_losses({"a": _Fixed(3.0), "b": _Fixed(3.01)}, "float32")


def test_a_rung_of_the_ladder_keeps_what_is_below_it():
    ladder = techniques.ladder()
    names = [rung.name for rung, _ in ladder]
    assert names[0] == "plain" and len(set(names)) == len(names)
    for (_, below), (rung, options) in zip(ladder, ladder[1:]):
        assert options == below | dict(rung.options)
    # Techniques that change the function come last, and training is measured without them.
    exact = [rung.exact for rung, _ in ladder]
    assert exact == sorted(exact, reverse=True)
    assert techniques.best() == ladder[sum(exact) - 1][1]


@pytest.mark.slow
def test_the_ladder_times_rungs_of_another_mask_mode_and_marks_them(tmp_path, monkeypatch, capsys):
    shared = next(r for r in techniques.RUNGS if not r.exact)
    first = techniques.Rung("all", techniques.best())
    monkeypatch.setattr(techniques, "RUNGS", (first, shared))
    command = ["ladder", "--size=tiny", "--batch=4", "--batches=1", "--rounds=1"]
    result = run(command, tmp_path)
    assert result["all"]["ratio"] == 1
    assert result[shared.name]["step"] == result[shared.name]["ratio"] > 0
    assert result[shared.name]["exact"] is False
    assert set(result["first_losses"]) == {"all"}  # The other rung computes another function.
    assert "not the same function" in capsys.readouterr().out


@pytest.mark.slow
def test_the_techniques_need_less_memory_than_the_plain_step(tmp_path):
    result = run(["memory", "--size=tiny", "--batch=8", "--batches=1"], tmp_path)
    assert result["big_rad"]["peak"] < result["plain"]["peak"]
    assert result["plain"]["text"] == 200 > result["big_rad"]["text"]
