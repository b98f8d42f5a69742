"""The comparison of image towers: what it makes of finished runs, without training any."""

import json

import pytest

from tools import compare_towers

G_IOU = {"adapted": [0.5, 0.4, 0.3], "random": [0.2, 0.2, 0.2], "unfrozen": [0.5]}


def finished(folder, **summary):
    folder.mkdir()
    (folder / "summary.json").write_text(json.dumps({"steps": 7, **summary}))


@pytest.fixture
def out(tmp_path):
    siglip = tmp_path / "siglip"
    siglip.mkdir()
    (siglip / "config.json").write_text(json.dumps({"model": {"img": {"depth": 3}}}))
    for tower, values in G_IOU.items():
        for seed, value in enumerate(values):
            finished(tmp_path / f"{tower}_{seed}", g_iou=value, g_iou_detect=value / 2)
    return tmp_path


def test_finished_runs_are_read_and_compared(out):
    said = []
    result = compare_towers.compare(out, "data", str(out / "siglip"), steps=7, log=said.append)
    assert sum("finished before" in line for line in said) == 7
    assert [r["tower"] for r in result["runs"]] == ["adapted"] * 3 + ["random"] * 3 + ["unfrozen"]
    assert result["g_iou"]["of_unfrozen"] == pytest.approx(0.8)
    assert result["g_iou_detect"]["over_random"] == pytest.approx(0.1)
    assert json.loads((out / "towers.json").read_text()) == json.loads(json.dumps(result))
    row = "| g_iou | 0.500, 0.400, 0.300 | 0.200, 0.200, 0.200 | 0.500 | 0.80 | +0.200 |"
    assert row in compare_towers.table(result).splitlines()


@pytest.mark.parametrize(
    "options, said",
    [
        (["--seeds=0"], "--seeds=0: give a whole number from 1"),
        (["--siglip=nowhere"], "--siglip=nowhere is no run directory"),
    ],
)
def test_wrong_options_are_one_error(tmp_path, capsys, options, said):
    assert compare_towers.main([f"--out={tmp_path}", *options]) == 1
    assert said in capsys.readouterr().err
