"""Tests the benchmark of two towers on the smallest model.

The speed does not matter here, so XLA's slow optimisations are switched off.
"""

import json

import jax
import pytest

from tools import bench
from tools.benchmarks import siglip


@pytest.fixture
def quick_compilation():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
def test_transformers_trains_two_towers_on_the_same_losses(tmp_path, capsys):
    path = tmp_path / "bench.json"
    bench.main(["siglip", "--size=tiny", "--batch=4", "--rounds=2", f"--json={path}"])
    result = json.loads(path.read_text())
    ours, theirs = result["losses"][siglip.OURS], result["losses"][siglip.HF]
    assert ours == pytest.approx(theirs, rel=1e-4)
    assert abs(ours[0] - ours[1]) > 1e-2  # The update did something.
    assert len(result["rounds"]) == 2 and result[siglip.HF]["ratio"] == 1
    assert result["ratio"] == result[siglip.OURS]["ratio"] > 0
    assert "tiny: 4 pairs" in capsys.readouterr().out


def test_steps_of_other_losses_are_refused():
    same = {siglip.OURS: [2.0, 1.0], siglip.HF: [2.0, 1.00005]}
    assert siglip.check_losses(same) == same
    with pytest.raises(SystemExit, match="do not compute the same losses"):
        siglip.check_losses({siglip.OURS: [2.0, 1.0], siglip.HF: [2.0, 1.01]})
