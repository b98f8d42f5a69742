"""Tiny untrained checkpoints of each kind, which differ in the settings they must be used with."""

import json

from big_rad.config import recipes as config_lib
from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import orbax
from configs import radgrounder_det
from tests.helpers import foreign


def fields(recipe="variant=tiny,data=folder,size=28", text=True):
    """Returns the config of a tiny model as a run keeps it. Without `text` it looks like a config
    that predates this field."""
    c = radgrounder_det.get_config(recipe)
    c.model.update(foreign.CFG)
    plain = json.loads(config_lib.to_json(c))
    if not text:
        del plain["text"]
    return plain


def own(folder, config=None):
    """Writes a run directory with random weights; returns it."""
    orbax.save(folder, foreign.params(foreign.PADDED), config or fields(), tokenizers.load("tiny"))
    return folder


def released(folder):
    """Writes a Hugging Face folder as the released detection model comes; returns it."""
    return foreign.write_hf(folder, foreign.ORDINARY + 4, ("detection",))
