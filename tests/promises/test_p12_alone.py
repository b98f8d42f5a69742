"""P12: an answer does not depend on its batch-mates or on padding.

These tests are end to end: a slice goes through `RadGrounder` and through an evaluator. The parts
are tested in tests/inference/test_decode.py and tests/inference/test_queue.py.
"""

import json

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from big_rad import train
from big_rad.evaluators import data as eval_data
from big_rad.predict import RadGrounder
from tests.helpers import tiny_run

ORGANS = ["liver", "spleen", "aorta", "left kidney", "stomach"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of a few steps and its samples, which an evaluator answered in batches of 1, 3, 4."""
    data = tiny_run.build_data(tmp_path_factory.mktemp("data"))
    workdir = tmp_path_factory.mktemp("run")
    config = tiny_run.config(data)
    config.evals = {
        f"by_{n}": dict(config.evals["report"], batch_size=n, limit=4, max_new_tokens=8)
        for n in (1, 3, 4)
    }
    config.summary = {}
    eval_data.clear_cache()
    with pytest.MonkeyPatch.context() as m:
        m.chdir(tiny_run.ROOT)
        train.train(config, workdir, str(data), log=lambda line: None)
    return workdir, {
        n: [json.loads(x) for x in (workdir / f"samples/by_{n}.jsonl").open()] for n in (1, 3, 4)
    }


@pytest.mark.slow
def test_an_evaluator_gets_the_same_answers_in_batches_of_any_size(trained):
    _, samples = trained
    assert len({s["prediction"] for s in samples[1]}) > 1  # Not all the same word.
    for n in (3, 4):
        for one, other in zip(samples[1], samples[n], strict=True):
            assert one["prediction"] == other["prediction"]
            np.testing.assert_allclose(one["logprob"], other["logprob"], rtol=1e-4)


@pytest.mark.slow
def test_an_organ_asked_for_alone_or_among_others_gets_the_same_answer(trained):
    model = RadGrounder.load(trained[0])
    slice_ = get_testdata_file("CT_small.dcm")
    together = model.detect(slice_, ORGANS).entities
    alone = [e for organ in ORGANS for e in model.detect(slice_, [organ]).entities]
    assert [(e.phrase, e.box) for e in together] == [(e.phrase, e.box) for e in alone]
