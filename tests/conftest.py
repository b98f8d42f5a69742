"""Settings for all tests, and the smallest models.

Property tests have no deadline, because machines share their cores. A compiled program is shared by
all tests, by the workers of pytest and by the processes that tests start. Most programs run only
briefly, and compilation takes most of the time, so slow optimisations of the compiler are switched
off. XLA's newer emitter of fused loops takes twice as long to compile as the one before it.
"""

import atexit
import collections
import gc
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from importlib import metadata
from types import SimpleNamespace

if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # It must be set before JAX is imported.
    cache = tempfile.mkdtemp(prefix="big_rad_compiled_")
    atexit.register(shutil.rmtree, cache, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = cache
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"  # Loading takes half as long.

os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0 "
    "--xla_llvm_disable_expensive_passes=true --xla_cpu_parallel_codegen_split_count=1"
)
# Newer versions of jaxlib do not have this flag, and unknown flags are an error.
if tuple(map(int, metadata.version("jaxlib").split(".")[:2])) < (0, 11):
    os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"

import jax
import numpy as np
import pytest
from hypothesis import settings

from big_rad.models import paligemma

# Tracing makes many small objects that live long, in which nothing is to be collected.
gc.set_threshold(50_000)
settings.register_profile("big_rad", deadline=None)
settings.load_profile("big_rad")


def pytest_collection_modifyitems(items):
    """Puts the files with the most slow tests first: at the end, none is left to one worker."""
    slow = collections.Counter(i.path for i in items if i.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


IMG = dict(width=16, depth=2, mlp_dim=32, num_heads=2, patch_size=4)
LLM = dict(width=16, depth=2, mlp_dim=32, num_heads=4, num_kv_heads=2, head_dim=8, vocab_size=64)


def make_model(mask_mode="paligemma", img=None, llm=None, **kw):
    """Returns a PaliGemma of two layers and width 16; `img` and `llm` override dimensions."""
    return paligemma.Model(
        img={**IMG, **(img or {})}, llm={**LLM, **(llm or {})}, mask_mode=mask_mode, **kw
    )


def randomise(shapes, seed=0):
    """Returns random parameters, also for biases and norms, whose initial values are 0 or 1.

    Matrices have unit gain, so that tests do not compare numbers that are all nearly 0.
    """
    rng = np.random.default_rng(seed)

    def draw(path, x):
        name = jax.tree_util.keystr(path)
        norm_like = "scale" in name or "bias" in name
        gain = 0.3 if norm_like else float(np.prod(x.shape[-2:-1])) ** -0.5
        return (gain * rng.standard_normal(x.shape) + ("LayerNorm" in name)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


@pytest.fixture(scope="session")
def tiny():
    """The smallest PaliGemma: `make(mask_mode, img=, llm=)`, `params` for all of them, `image`."""
    image = np.random.default_rng(1).uniform(-1, 1, (4, 8, 8, 3)).astype(np.float32)
    tokens = np.ones((1, 4), np.int32)
    shapes = jax.eval_shape(
        lambda: make_model().init(jax.random.key(0), image[:1], tokens, 0 * tokens)
    )
    return SimpleNamespace(
        make=make_model,
        randomise=randomise,
        params=randomise(shapes["params"]),
        image=image,
        num_image=4,
        vocab_size=64,
    )


@pytest.fixture(scope="session")
def on_eight_devices():
    """A function that runs code on eight host devices in a new process and returns its output."""

    def run(code):
        flags = {
            "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8",
            "JAX_PLATFORMS": "cpu",
        }
        command = [sys.executable, "-c", textwrap.dedent(code)]
        env = os.environ | flags
        result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stderr[-3000:]
        return result.stdout.strip()

    return run
