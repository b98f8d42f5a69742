import json

import pytest

from tools import bench
from tools.benchmarks import rounds


@pytest.mark.slow
def test_input_is_compared_with_the_peer_on_the_same_images(tmp_path, capsys):
    short = ["--rounds=1", "--images=6", "--patients=3", "--copies=4"]
    bench.main(["input", *short, f"--json={tmp_path / 'bench.json'}"])
    result = json.loads((tmp_path / "bench.json").read_text())
    # The peer computes its interpolation weights in float32, so the two may differ by 512 x 2**-24
    # of the range.
    assert result["largest_difference"] < 1e-4
    assert result["ratio"] == result["big_rad"]["ratio"] > 0
    assert result["pipeline"]["images_per_second"] > 0
    assert "6 slices" in capsys.readouterr().out


def test_a_ratio_is_the_median_over_rounds_and_comes_with_its_spread():
    found = rounds.summary([1.0, 2.0, 4.0], [2.0, 2.0, 20.0], items=8)
    assert found == {"ms": 2000, "per_second": 4, "ratio": 2, "spread": [1, 5]}


def test_ways_are_timed_in_turn_after_a_run_that_does_not_count():
    order = []
    seconds = rounds.measure({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2)
    assert order == ["a", "b"] * 3
    assert {k: len(v) for k, v in seconds.items()} == {"a": 2, "b": 2}
