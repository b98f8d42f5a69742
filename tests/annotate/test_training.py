"""Training on the engine's output is as good as training on the labels that the phantom itself has.

It takes about an hour and a half on two cores, so `make prove` runs it and CI does not.
"""

import json
import os
import subprocess
import sys

import pytest

from big_rad.datasets.phantom import export
from big_rad.datasets.phantom.body.anatomy import DEMO_CLASSES
from tests.helpers.small_studies import ROOT
from tests.published import hospital

PATIENTS = int(os.environ.get("BIG_RAD_ENGINE_PATIENTS", "0"))
STEPS = int(os.environ.get("BIG_RAD_ENGINE_STEPS", "4500"))
SEED, SIZE, HELD_OUT = 77, 112, 120
# configs/demo.py on other data. The demo's own data have questions about positions, which these
# data get from their label maps.
RECIPE = """
from big_rad.config import recipes as config_lib
from configs import common, demo

def get_config(arg=None):
    a = config_lib.parse_arg(arg, data=("folder", "refrad2d"), steps=4500)
    c = demo.get_config(f"steps={a.steps}")
    spec = c.input.phantom
    spec.builder, spec.builder_args = a.data, dict(config="default")
    spec.pp = common.train_pp(
        c, view="view()", augment="augment(shift=4)", packed=True,
        detect="detect_vqa(n=2, kinds='where,list', labelled=CLASSES)",
        prompt="prompt(n=8, style='question', grounded='always')",
        tok="tok(length=240, block=80, max_loss=136, pack=True, masks=0)",
    )
    evals = {}
    for name, entry in c.evals.items():
        if name.startswith("report"):
            entry.builder, entry.builder_args = "folder", dict(config="default")
            entry.split, entry.limit = "test", 480
            evals[name] = entry
    c.evals = evals
    c.summary = {k: v for k, v in c.summary.items() if v.split("/")[0] in evals}
    return c
"""


def command(*words):
    done = subprocess.run(
        [sys.executable, "-m", *map(str, words)], cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.skipif(not PATIENTS, reason="takes long; set BIG_RAD_ENGINE_PATIENTS, such as 1000")
def test_training_on_the_engines_output_is_as_good_as_on_the_phantoms_own_labels(tmp_path):
    own = tmp_path / "own"
    export.export(own, PATIENTS + HELD_OUT, seed=SEED, size=SIZE)
    lines = [json.loads(line) for line in (own / "data.jsonl").read_text().splitlines()]
    for line in lines:
        line["split"] = "train" if int(line["patient"][1:]) < PATIENTS else "test"
    (own / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    made = hospital.write(tmp_path / "in", patients=PATIENTS, seed=SEED, size=SIZE, merged=True)
    recipe = f"configs/annotate.py:manifest={made.manifest},out={tmp_path}/out"
    command(
        "big_rad.annotate", f"--config={recipe}",
        "--config.workers=2", "--config.nifti_image_numbers=ascending",
        "--config.shares=(1.0, 0.0, 0.0)",
    )  # fmt: skip
    (tmp_path / "recipe.py").write_text(RECIPE.replace("CLASSES", str(tuple(DEMO_CLASSES))))
    scores = {}
    for name, source in (("folder", own), ("refrad2d", tmp_path / "out" / "dataset")):
        data = tmp_path / f"data_{name}"
        for builder, folder in {"folder": own, name: source}.items():
            command("tools.build_dataset", builder, f"--source={folder}", f"--data_dir={data}")
        run = tmp_path / f"run_{name}"
        command(
            "big_rad.train", f"--config={tmp_path}/recipe.py:data={name},steps={STEPS}",
            f"--data_dir={data}", f"--workdir={run}",
        )  # fmt: skip
        command(
            "big_rad.evaluate", f"--checkpoint={run}", "--config=configs/demo.py",
            f"--data_dir={phantom(tmp_path)}", f"--out={tmp_path}/scores_{name}",
        )  # fmt: skip
        summary = json.loads((tmp_path / f"scores_{name}" / "summary.json").read_text())
        scores[name] = {
            "held-out patients": json.loads((run / "summary.json").read_text()),
            "the demo's test patients": summary,
        }
    for name, of in scores.items():
        print(name, json.dumps({where: numbers(e) for where, e in of.items()}, indent=1))
    first, second = (scores[n]["held-out patients"]["g_iou"] for n in ("folder", "refrad2d"))
    assert abs(first - second) <= 0.03


def numbers(summary):
    """Returns the figures of a summary: those of a run, or the G-IoU of each evaluation."""
    evals = summary.get("evals", {})
    found = {f"{n} g_iou": e["metrics"].get("g_iou") for n, e in evals.items()}
    return {k: v for k, v in {**summary, **found}.items() if isinstance(v, float)}


def phantom(folder):
    """Builds the demo's data once, for its test patients."""
    place = folder / "phantom"
    if not place.exists():
        command("tools.build_dataset", "phantom", "--config=demo", f"--data_dir={place}")
    return place
