import sys

import numpy as np

from big_rad.weights import tensors
from tools import make_random_npz, measure_load


def test_the_full_3b_tree_is_described_without_drawing_it():
    flat = make_random_npz.random_weights("3b", 224)
    assert tensors.count(flat) == 3_032_094_960
    assert sum(x.nbytes for x in flat.values()) == 2 * 3_032_094_960
    scale = np.asarray(flat["img/Transformer/encoder_norm/scale"])
    assert scale.dtype == tensors.BFLOAT16 and scale.astype(float).std() > 0.01


def test_a_small_one_is_written_loaded_and_run(tmp_path, monkeypatch, capsys):
    path = str(tmp_path / "tiny.npz")
    monkeypatch.setattr(sys, "argv", ["x", path, "--variant=tiny", "--size=28"])
    make_random_npz.main()
    monkeypatch.setattr(sys, "argv", ["x", path, "--forward"])
    measure_load.main()
    assert "finite True" in capsys.readouterr().out
