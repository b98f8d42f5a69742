import json

import numpy as np
import pytest

from tools import bench


@pytest.mark.slow
def test_all_ways_do_the_same_work(tmp_path, capsys):
    ways = [(False, 0, None), (True, 0, None), (True, bench._BLOCK, bench._TEXTS * bench._SUFFIX)]
    losses = [bench.make_step(*way)() for way in ways]
    np.testing.assert_allclose(losses, losses[0], rtol=1e-5)


@pytest.mark.slow
def test_the_table_and_the_file_give_a_ratio_for_each_way(tmp_path, capsys):
    bench.main(["--rounds=1", f"--json={tmp_path / 'bench.json'}"])
    result = json.loads((tmp_path / "bench.json").read_text())
    assert set(result) == {"plain", "packed", "blocks"} and result["plain"]["ratio"] == 1
    printed = capsys.readouterr().out
    assert all(name in printed for name in result)
