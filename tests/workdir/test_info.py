"""The files that describe a run: config.json, run.json and parameters.txt."""

import getpass
import importlib.metadata
import json
import os
import pathlib
import platform
import shutil
import socket
import subprocess
import sys

import jax
import ml_collections
import numpy as np
import pytest

from big_rad.config import recipes as config_lib
from big_rad.training import bad_steps
from big_rad.workdir import info as run_info
from configs import siglip_refrad2d

CONFIG = ml_collections.ConfigDict(
    dict(model_name="paligemma", model={"width": 8}, tokenizer={}, codec={}, image={}, lr=1.0)
)
PARAMS = {
    "img/embedding/kernel": jax.ShapeDtypeStruct((14, 14, 3, 8), np.float32),
    "img/head/kernel": jax.ShapeDtypeStruct((8, 8), np.float32),
    "llm/embedder/input_embedding": jax.ShapeDtypeStruct((1024, 8), jax.numpy.bfloat16),
}
TRAINABLE = {name: not name.startswith("llm") for name in PARAMS}


def write(workdir, step=0, total=9, config=CONFIG):
    return run_info.write(workdir, config, step, total, PARAMS, TRAINABLE)


def test_every_start_is_listed_with_its_step_and_the_first_stay(tmp_path):
    assert run_info.read(tmp_path) == []
    for step in (0, 4, 7):
        write(tmp_path, step)
    starts = run_info.read(tmp_path)
    assert [s["step"] for s in starts] == [0, 4, 7]
    assert all(s["total_steps"] == 9 for s in starts)
    assert [s["time"] for s in starts] == sorted(s["time"] for s in starts)
    assert starts[0]["time"].endswith("+00:00")  # Whatever the machine's zone.


def test_versions_leave_out_a_package_that_is_not_installed():
    assert run_info.versions(("jax", "no-such-package", "ml_collections")) == {
        "jax": jax.__version__,
        "ml_collections": importlib.metadata.version("ml-collections"),
    }


def test_packages_and_hardware_are_those_of_this_process(tmp_path):
    write(tmp_path)
    (start,) = run_info.read(tmp_path)
    assert start["versions"]["python"] == platform.python_version()
    assert start["versions"]["jax"] == jax.__version__
    assert start["versions"]["numpy"] == np.__version__
    hardware = start["hardware"]
    assert hardware["device_kind"] == jax.devices()[0].device_kind
    assert hardware["devices"] == jax.device_count() and hardware["processes"] == 1
    assert 1 <= hardware["cores"] <= os.cpu_count()
    assert hardware["memory"] is None or hardware["memory"] > 2**28


def test_parameters_are_listed_with_what_is_trained(tmp_path):
    text = write(tmp_path)
    assert (tmp_path / "parameters.txt").read_text(encoding="utf-8") == text
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if "|" in line}
    for name, p in PARAMS.items():
        shape, size, dtype, trained = (x.strip() for x in rows[name].split("|")[2:6])
        assert (shape, int(size.replace(",", ""))) == (str(p.shape), np.prod(p.shape))
        assert dtype == np.dtype(p.dtype).name and trained == str(TRAINABLE[name])
    (start,) = run_info.read(tmp_path)
    sizes = start["parameters"]
    assert sizes["img"] == [4704 + 64, 4704 + 64] and sizes["img/head"] == [64, 64]
    assert sizes["llm"] == [8192, 0] and sizes["all"] == [12960, 4768]


def test_the_config_is_the_last_that_trained(tmp_path):
    def written():
        return config_lib.from_json((tmp_path / "config.json").read_text(encoding="utf-8")).lr

    changed = CONFIG.copy_and_resolve_references()
    write(tmp_path, 0)
    changed.lr = 2.0
    write(tmp_path, 4, config=changed)
    assert written() == 2.0
    changed.lr = 3.0
    write(tmp_path, 9, config=changed)  # The run is finished: this only evaluates.
    assert written() == 2.0


def test_nothing_tells_the_host_the_user_or_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/zq7jane")
    monkeypatch.setattr(
        sys,
        "argv",
        ["/home/zq7jane/big_rad/train.py", "--data_dir=/home/zq7jane/data", "--x=/home"],
    )
    write(tmp_path)
    text = (tmp_path / "run.json").read_text(encoding="utf-8")
    assert "zq7jane" not in text
    words = {str(x) for x in _leaves(json.loads(text))}
    assert not words & {socket.gethostname(), platform.node(), getpass.getuser()}
    arguments = run_info.read(tmp_path)[0]["arguments"]
    assert arguments == ["train.py", "--data_dir=~/data", "--x=/home"]


def _leaves(x):
    if isinstance(x, dict | list):
        for y in x.values() if isinstance(x, dict) else x:
            yield from _leaves(y)
    else:
        yield x


def test_a_broken_file_is_named(tmp_path):
    for text in ("", "{", "[]", '{"other": 1}'):
        (tmp_path / "run.json").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=r"run\.json is broken .*remove it"):
            run_info.read(tmp_path)


class Out(BaseException):
    """An exception that no code of the program catches."""


def ended(workdir):
    return [s["ended"] and (s["ended"]["how"], s["ended"]["step"]) for s in run_info.read(workdir)]


def test_how_and_why_each_start_ended_is_written(tmp_path):
    said = []
    with run_info.recorded(tmp_path, 0, said.append) as ending:
        write(tmp_path)
        assert ended(tmp_path) == [None]
        ending.step = 4
    with pytest.raises(ValueError, match="too hot"), run_info.recorded(tmp_path, 4) as ending:
        ending.step = 5
        raise ValueError("it is too hot\nby far")
    with pytest.raises(Out), run_info.recorded(tmp_path, 4, said.append):
        raise Out
    with run_info.recorded(tmp_path, 4, said.append) as ending:
        write(tmp_path, 4)
        ending.step, ending.how = 9, "finished"
    assert ended(tmp_path) == [("stopped", 4), ("failed", 5), ("interrupted", 4), ("finished", 9)]
    starts = run_info.read(tmp_path)
    assert starts[1]["ended"]["why"] == "it is too hot\nby far"
    assert [s["step"] for s in starts] == [0, 4, 4, 4]
    # The entry of a start that came to train also has what became known later.
    assert [bool(s["parameters"]) for s in starts] == [True, False, False, True]
    assert said == ["the last start failed: it is too hot"]


def test_a_start_that_could_not_say_how_it_ended_is_listed_as_lost_by_the_next(tmp_path):
    with run_info.recorded(tmp_path, 0):
        write(tmp_path)
        text = (tmp_path / "run.json").read_text(encoding="utf-8")
    (tmp_path / "run.json").write_text(text, encoding="utf-8")  # As kill -9 leaves it.
    with run_info.recorded(tmp_path, 0):
        pass
    assert [s["ended"]["how"] for s in run_info.read(tmp_path)] == ["lost", "stopped"]
    assert "kill -9" in run_info.read(tmp_path)[0]["ended"]["why"]


def test_an_error_on_a_full_disk_stays_the_error_of_the_run(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    with pytest.raises(bad_steps.TrainingError, match="own"), run_info.recorded(tmp_path, 0):
        monkeypatch.setattr(run_info.files, "write_whole", full)
        raise bad_steps.TrainingError("own")


def test_what_changed_is_written_with_the_old_and_the_new_value(tmp_path):
    changes = {"config.lr": (1.0, 2.0)}
    run_info.write(tmp_path, CONFIG, 4, 9, PARAMS, TRAINABLE, changes)
    assert run_info.read(tmp_path)[0]["changes"] == {"config.lr": [1.0, 2.0]}


@pytest.fixture
def checkout(tmp_path):
    """A checkout of one commit with one file: (the file, a function that runs git there)."""
    if shutil.which("git") is None:
        pytest.skip("needs git")

    def git(*command):
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *who, *command], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    path = tmp_path / "code" / "module.py"
    path.parent.mkdir()
    path.write_text("one", encoding="utf-8")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    return path, git


def test_a_checkout_tells_its_revision_and_whether_it_was_changed(checkout):
    path, git = checkout
    head = git("rev-parse", "HEAD")
    assert run_info.revision(path) == {"revision": head, "dirty": False}
    (path.parent / "notes.txt").write_text("new, and no part of it", encoding="utf-8")
    assert run_info.revision(path)["dirty"] is False
    path.write_text("two", encoding="utf-8")
    assert run_info.revision(path) == {"revision": head, "dirty": True}


def test_another_project_around_an_installed_package_is_not_taken_for_ours(checkout):
    path, _ = checkout
    installed = path.parents[1] / "venv" / "run_info.py"
    installed.parent.mkdir()
    installed.write_text("", encoding="utf-8")
    assert run_info.revision(installed) is None


def test_without_git_or_outside_a_checkout_there_is_no_revision_and_no_error(
    checkout, tmp_path_factory, monkeypatch, capfd
):
    outside = tmp_path_factory.mktemp("outside") / "module.py"
    outside.write_text("", encoding="utf-8")
    monkeypatch.setenv("GIT_DIR", str(checkout[0].parents[1] / ".git"))  # As inside a git hook.
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(pathlib.Path(outside).parents[1]))
    assert run_info.revision(outside) is None
    monkeypatch.setenv("PATH", str(outside.parent))
    assert run_info.revision(checkout[0]) is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "variant, recipe",
    [
        ("so400m", "radgrounder_det.py"),
        ("tiny,data=phantom", "demo.py:tower=frozen --config.model.img.depth=3"),
    ],
)
def test_the_next_commands_of_two_towers_search_and_hand_the_tower_on(variant, recipe):
    config = siglip_refrad2d.get_config(f"variant={variant}")
    lines = run_info.next_commands("runs/my run", "data", {""}, config)
    assert "python -m big_rad.evaluate '--checkpoint=runs/my run' --data_dir=data" in lines[1]
    data = "phantom/demo" if "phantom" in variant else "refrad2d"
    assert "python -m tools.retrieve '--checkpoint=runs/my run'" in lines[2]
    assert f"--data={data}:validation --query=" in lines[2]
    assert f"--config=configs/{recipe} '--config.model_init_img=runs/my run'" in lines[3]
    assert not any("predict" in line for line in lines)
