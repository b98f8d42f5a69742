"""The wheel is built, installed in an empty environment, and used in another folder.

It takes about six minutes, so it runs only with BIG_RAD_WHEEL=1, as in CI.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("BIG_RAD_WHEEL"),
        reason="takes six minutes and packages from the network: set BIG_RAD_WHEEL=1, as CI does",
    ),
    pytest.mark.timeout(1800),
    pytest.mark.slow,
]

# A recipe of the user, beside files of the user that have the same names as big_rad's files.
MINE = """
from configs import common, radgrounder_det

def get_config(arg=None):
    c = radgrounder_det.get_config("variant=tiny,data=phantom,size=56")
    c.lr = common.LEARNING_RATE
    c.total_epochs, c.total_steps, c.grad_accum, c.input.batch_size = None, 2, 1, 4
    c.evals = {}
    return c
"""
OTHERS = 'raise RuntimeError("this is not a file of big_rad")\n'


def run(*command, cwd, fails=False):
    """Runs a command and returns what it printed, errors included."""
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert (done.returncode != 0) == fails, f"{command}: {done.returncode}\n{done.stdout[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The programs of an environment with the wheel and what it requires, and nothing else."""
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"  # A copy, so that nothing of an earlier build gets into the wheel.
    for name in ("big_rad", "tools", "configs", "requirements"):
        junk = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=junk)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "requirements.txt"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run(*pip, "wheel", "--no-deps", "--wheel-dir", place, source, cwd=place)
    shutil.rmtree(source)
    (wheel,) = place.glob("*.whl")
    run(sys.executable, "-m", "venv", place / "venv", cwd=place)
    pip[0] = place / "venv/bin/python"
    run(
        *pip,
        "install",
        "--no-compile",
        "-c",
        ROOT / "constraints.txt",
        f"{wheel}[train]",
        cwd=place,
    )
    return place / "venv/bin"


@pytest.fixture(scope="module")
def home(environment, tmp_path_factory):
    """A folder of a user, with a small dataset, the user's recipes, and a trained model."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("configs", "tools"):
        (folder / name).mkdir()
    (folder / "configs/mine.py").write_text(MINE, encoding="utf-8")
    (folder / "configs/common.py").write_text("LEARNING_RATE = 0.125\n", encoding="utf-8")
    for name in ("__init__", "build_dataset", "convert", "compare", "benchmarks"):
        (folder / f"tools/{name}.py").write_text(OTHERS, encoding="utf-8")
    (folder / "configs/evaluate.py").write_text(OTHERS, encoding="utf-8")
    sizes = ("--train=8", "--validation=4", "--test=4")
    big_rad = environment / "big-rad"
    run(big_rad, "build_dataset", "phantom", "--config=demo", *sizes, cwd=folder)
    recipe = "--config=configs/demo.py:steps=2,limit=1"
    said = run(big_rad, "train", recipe, "--workdir=runs/demo", cwd=folder)
    assert "big_rad's own is used" in said and "_configs/demo.py" in said
    return folder


def test_nothing_but_the_package_is_installed(environment):
    (packages,) = (environment.parent / "lib").glob("python*/site-packages")
    names = {p.stem for p in packages.iterdir()}
    assert "big_rad" in names and not names & {"tools", "configs", "tests", "setup"}
    (info,) = packages.glob("big_rad-*.dist-info")
    assert (info / "top_level.txt").read_text(encoding="utf-8").split() == ["big_rad"]


def test_all_programs_are_listed_and_say_what_they_are(environment, tmp_path):
    said = run(environment / "big-rad", cwd=tmp_path)
    texts = {f.stem: f.read_text(encoding="utf-8") for f in (ROOT / "tools").glob("*.py")}
    tools = {name for name, text in texts.items() if "\ndef main(" in text}
    names = {line.split()[0] for line in said.splitlines() if line.startswith("  ")}
    assert names == tools | {"train", "evaluate", "annotate", "predict"}
    assert "did you mean 'convert'" in run(environment / "big-rad", "covert", cwd=tmp_path, fails=1)
    said = run(environment / "big-rad", "bench", "--help", cwd=tmp_path)
    assert "usage: big-rad bench" in said and "tools." not in said


def test_every_module_is_there_and_can_be_imported(environment, tmp_path):
    code = (
        "import importlib, pathlib, big_rad; root = pathlib.Path(big_rad.__file__).parent\n"
        "for f in sorted(root.rglob('*.py')):\n"
        "    name = '.'.join(f.relative_to(root.parent).with_suffix('').parts)\n"
        "    if not f.stem.startswith('peer_'):  # PyTorch is no requirement.\n"
        "        importlib.import_module(name.removesuffix('.__init__'))\n"
        "        print(f.relative_to(root))"
    )
    said = run(environment / "python", "-c", code, cwd=tmp_path).split()
    for name, inside in (("big_rad", "."), ("tools", "_tools"), ("configs", "_configs")):
        for file in (ROOT / name).rglob("*.py"):
            expected = pathlib.Path(inside, file.relative_to(ROOT / name))
            assert str(expected) in said or file.stem.startswith("peer_")


def test_two_steps_of_the_tiny_recipe_were_trained(home):
    lines = (home / "runs/demo/metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["step"] for line in lines} >= {1, 2}
    assert (home / "runs/demo/summary.json").is_file()


@pytest.mark.parametrize("program", [("big-rad", "train"), ("python", "-m", "big_rad.train")])
def test_a_recipe_of_ones_own_stands_on_those_of_big_rad(environment, home, program):
    start = [environment / program[0], *program[1:]]
    workdir = f"runs/{len(program)}"
    run(*start, "--config=configs/mine.py", f"--workdir={workdir}", cwd=home)
    config = json.loads((home / workdir / "config.json").read_text(encoding="utf-8"))
    assert config["lr"] == 0.125 and config["total_steps"] == 2
    assert (home / workdir / "checkpoints/2").is_dir()


def test_the_model_is_evaluated_and_asked(environment, home):
    image = run(
        environment / "python",
        "-c",
        "from pydicom.data import get_testdata_file as f; print(f('CT_small.dcm'))",
        cwd=home,
    ).split()[-1]
    ask = ("predict", "--checkpoint=runs/demo", "--task=vqa", "--question=Aorta normal?")
    said = run(environment / "big-rad", *ask, image, cwd=home)
    assert '"text"' in said
    ask = ("evaluate", "--checkpoint=runs/demo", "--data=phantom", "--limit=1")
    run(environment / "big-rad", *ask, cwd=home)
    assert (home / "runs/demo/evaluation/report.html").is_file()


def test_a_command_that_a_message_names_can_be_run(environment, home):
    big_rad, missing = environment / "big-rad", ("--config=configs/mine.py", "--data_dir=nowhere")
    said = run(big_rad, "inspect_data", *missing, cwd=home, fails=True)
    assert "big-rad build_dataset phantom" in said and "python -m tools" not in said
    said = run(environment / "python", "-m", "big_rad", "inspect_model", missing[0], cwd=home)
    assert "peak" in said
