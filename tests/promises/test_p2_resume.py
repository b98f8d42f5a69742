"""P2: on the same devices a resumed run is bitwise the uninterrupted one.

This holds for the parameters, the optimizer, the data order, the random numbers of the steps, and
the lines of the metrics.
"""

import numpy as np
import pytest

from big_rad import train
from big_rad.evaluators import data as eval_data
from tests.helpers import tiny_run

GUARDED = dict(bad_steps=dict(action="skip", spike=5.0, most=9))


def run(config, workdir, data, **kw):
    eval_data.clear_cache()
    return train.train(config, workdir, str(data), log=lambda line: None, **kw)


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("undisturbed")
    return run(tiny_run.config(data, **GUARDED), workdir, data), workdir


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(tiny_run.ROOT)


@pytest.mark.slow
@pytest.mark.parametrize("stops", [(3,), (1, 4, 5)])
def test_a_run_stopped_at_any_steps_ends_bit_for_bit_as_the_undisturbed_one(
    data, undisturbed, tmp_path, stops
):
    metrics, workdir = undisturbed
    for stop in stops:  # The evaluation of step 5 is done after the resume.
        assert run(tiny_run.config(data, **GUARDED), tmp_path, data, stop_after=stop) == {}
        assert tiny_run.steps(tmp_path)[-1] == stop
    resumed = run(tiny_run.config(data, **GUARDED), tmp_path, data)
    np.testing.assert_equal(resumed, metrics)
    tiny_run.assert_same(tmp_path, workdir)
