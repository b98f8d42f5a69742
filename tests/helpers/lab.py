"""A user's own evaluator: one file in a package of its own, as a user would write it."""

import contextlib
import importlib
import sys

TYPE = "my_lab.evals.held_out"
SOURCE = '''
"""Token loss and accuracy of held-out targets."""

import numpy as np

from big_rad import input_pipeline
from big_rad.evaluators import data as eval_data
from big_rad.evaluators import samples, spec


class Evaluator(spec.Statement):
    """Asks for the loss and writes no text."""

    scores = (
        spec.Score("loss", "token loss", lowest=True, groups=("CT", "MR"), beside="training_loss"),
        spec.Score("right", "tokens that are right"),
        spec.Score("n", count=True),
    )
    main = ("loss", "right")
    titles = {"held_out": "Texts held out"}
    controls = ("blank",)
    needs = ("loss",)
    fields = ("mask_loss",)

    def __init__(self, functions, data, *, name, tokenizer, samples_dir=None, batch_size=16,
                 control="none", scale=1.0):
        self.name, self.data, self.scale = name, data, scale
        self.functions, self.folder, self.batch_size = functions, samples_dir, batch_size
        self.view = eval_data.View(data, control)

    def run(self, params):
        rows = []
        for batch in input_pipeline.eval_batches(self.view, self.batch_size):
            out = self.functions["loss"](params, batch)
            asked = np.flatnonzero(batch["_mask"])
            rows += [{k: float(v[i]) for k, v in out.items()} for i in asked]
        self.records = []
        for i, r in enumerate(rows):
            scores = {"loss": r["loss"] / r["tokens"], "right": r["correct"] / r["tokens"]}
            self.records.append({"index": i, "scores": scores, **self.data[i]["meta"]})
        if self.folder is not None:
            samples.write(self.folder, self.name, self.records, {})
        total = {k: sum(r[k] for r in rows) for k in rows[0]}
        yield "loss", self.scale * total["loss"] / total["tokens"]
        yield "right", total["correct"] / total["tokens"]
        yield "n", len(rows)
'''


def forget():
    """Makes Python forget the modules of the package, as if this were another process."""
    importlib.invalidate_caches()
    for name in [n for n in sys.modules if n.partition(".")[0] == "my_lab"]:
        del sys.modules[name]


@contextlib.contextmanager
def installed(folder):
    """Writes the package into a folder, from which it can be imported while the context lasts.
    Yields the folder of the package's evaluators."""
    place = folder / "my_lab" / "evals"
    place.mkdir(parents=True)
    (place / "held_out.py").write_text(SOURCE, encoding="utf-8")
    sys.path.insert(0, str(folder))
    forget()
    try:
        yield place
    finally:
        sys.path.remove(str(folder))
        forget()
