"""Tests the prepared run on a GPU: its parts at the smallest size, its budget, and its table."""

import json
import pathlib
import sys

import pytest

from tools import bench
from tools.benchmarks import gpu

ROOT = pathlib.Path(__file__).parents[2]


class Clock:
    """A clock that only moves when a part runs, by the seconds of that part."""

    def __init__(self, seconds, ended=None):
        self.now, self._seconds, self._ended, self.started = 0.0, seconds, ended or {}, []

    def __call__(self):
        return self.now

    def start(self, name, left):
        self.started.append(name)
        self.now += min(self._seconds[name], left)
        return {"ended": self._ended.get(name, "ok"), "rows": []}


def within(usual, seconds, clock):
    found = {}
    gpu.within_budget(usual, seconds, clock.start, found.__setitem__, clock)
    return found


def test_parts_run_in_their_order_until_the_budget_is_used():
    clock = Clock({"a": 10, "b": 20, "c": 30})
    found = within({"a": 10, "b": 20, "c": 30}, 59, clock)
    assert clock.started == ["a", "b"] and list(found) == ["a", "b", "c"]
    assert found["b"] == {"ended": "ok", "seconds": 20.0, "rows": []}
    assert found["c"]["ended"] == "skipped: needs about 30 s, and 29 of the budget are left"


def test_a_slow_machine_is_known_from_the_parts_before():
    clock = Clock({"a": 30, "b": 1, "c": 1})  # Part a takes three times as long as usual.
    found = within({"a": 10, "b": 20, "c": 5}, 60, clock)
    assert clock.started == ["a", "c"]  # A later part that fits the budget still runs.
    assert "needs about 60 s, and 30 of the budget" in found["b"]["ended"]


def test_a_part_that_failed_says_nothing_of_the_machine():
    clock = Clock({"a": 1, "b": 20}, ended={"a": "failed with 1, see a.txt"})
    found = within({"a": 100, "b": 20}, 120, clock)
    assert found["b"]["ended"] == "ok"
    assert found["a"]["ended"].startswith("failed")


def test_the_table_leaves_empty_what_a_part_does_not_have():
    row = {"what": "one row", "ms": 3.125, "rate": 320.0, "unit": "tokens/s", "bandwidth": 0.35}
    row |= {"target": "60 % of bandwidth", "of_target": 0.35 / 0.6, "note": "prefill 21.3 ms"}
    parts = {
        "decode_one": {"ended": "ok", "rows": [row]},
        "masks": {"ended": "skipped: no time", "rows": []},
    }
    printed = gpu.table({"device": "NVIDIA H200", "dry_run": False, "parts": parts})
    line = next(x for x in printed.splitlines() if x.startswith("decode_one "))
    assert line.split() == (
        "decode_one one row 3.12 320.0 tokens/s 35.0% 0.58 of 60 % of bandwidth".split()
    )
    assert "NVIDIA H200" in printed and "dry run" not in printed
    assert "decode_one, one row: prefill 21.3 ms" in printed
    assert "masks: skipped: no time" in printed


@pytest.mark.slow
def test_a_dry_run_takes_every_part_to_its_end_and_is_kept(tmp_path, capsys):
    command = ["gpu", "--dry-run", f"--out={tmp_path}", "--peak_tflops=1", "--bandwidth_gbs=10"]
    bench.main(command)
    printed = capsys.readouterr().out
    result = json.loads((tmp_path / "gpu.json").read_text())
    assert {name: part["ended"] for name, part in result["parts"].items()} == dict.fromkeys(
        gpu.PARTS, "ok"
    )
    rows = {name: part["rows"] for name, part in result["parts"].items()}
    assert {name: len(x) for name, x in rows.items()} == dict(
        recipe=1, train_hf=2, decode_one=4, texts=1, queue=2, masks=1
    )
    for row in (*rows["recipe"], *rows["train_hf"], *rows["texts"], *rows["masks"]):
        assert row["rate"] > 0 and 0 < row["mfu"] < 1
    # HFU counts padding as well, so it is higher than the useful MFU.
    assert all(rows[n][0]["hfu"] > rows[n][0]["mfu"] for n in ("recipe", "masks"))
    known = [row for row in rows["decode_one"] if "ms" in row]
    # A compiler option that this version of XLA does not have is reported as such. All other ways
    # of decoding write the same tokens.
    assert all("No such compile option" in r["note"] for r in rows["decode_one"] if "ms" not in r)
    assert len(known) >= 4 and all("100% of its tokens" in row["note"] for row in known)
    table = printed[printed.rindex("a dry run, whose figures say nothing") :]
    assert all(row["what"] in table for part in rows.values() for row in part)
    bench.main(command)
    assert "kept from an earlier run" in capsys.readouterr().out
    assert json.loads((tmp_path / "gpu.json").read_text()) == result
    with pytest.raises(SystemExit, match="is of a dry run, this is a run on a GPU"):
        bench.main(["gpu", f"--out={tmp_path}"])


@pytest.mark.slow
def test_a_part_has_its_own_process_and_what_it_says_is_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    bench.main(["gpu", "--only=train_hf", f"--out={tmp_path}"])
    found = json.loads((tmp_path / "gpu.json").read_text())["parts"]["train_hf"]
    assert found["ended"] == "skipped: torch finds no GPU" and found["seconds"] > 0
    monkeypatch.setattr(sys, "executable", "false")
    bench.main(["gpu", "--only=queue,masks", f"--out={tmp_path}"])
    parts = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    assert list(parts) == ["train_hf", "queue", "masks"]
    assert parts["queue"]["ended"] == "failed with 1, see queue.txt"
    assert "masks: failed with 1" in capsys.readouterr().out


def test_unknown_parts_are_named(tmp_path):
    with pytest.raises(SystemExit, match="no decoding; there are recipe, train_hf"):
        bench.main(["gpu", "--only=decoding", f"--out={tmp_path}"])
