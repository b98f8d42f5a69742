"""The predicted memory, compared with the compiler's figure and between settings."""

import jax
import numpy as np
import pytest

from big_rad import models, sharding
from big_rad.config import recipes as config_lib
from big_rad.pp import builder, packed
from big_rad.training import losses, memory
from big_rad.training import state as state_lib
from big_rad.training import step as step_lib
from configs import radgrounder_det, siglip_refrad2d
from tools.benchmarks import memory as bench_memory
from tools.benchmarks import sizes

OPTIONS = {"donate": True, "texts": 1}  # Options of `tools.bench`; the recipe has all others.
_SMALL = {
    "model.img.width": 128, "model.img.depth": 2, "model.img.mlp_dim": 256,
    "model.llm.width": 256, "model.llm.depth": 6, "model.llm.mlp_dim": 1024,
    "model.llm.head_dim": 32, "model.llm.vocab_size": 4096,
    "image.size": 112, "input.batch_size": 8,
}  # fmt: skip


def recipe(task="det", length=64, **changes):
    """A small recipe in float32 with a pp string."""
    config = sizes.make_config("mid", task, "float32")
    config.input.data = dict(some=1.0)
    pp = f"load|tok(length={length}, masks={3 if task == 'seg' else 0})"
    config.input.some = dict(builder="phantom", pp=pp)
    return config_lib.changed(config, _SMALL | changes)


_POLICIES = ("model.img.remat_policy", "model.txt.remat_policy")


def pairs(**changes):
    """The recipe of two towers in a small size, in float32."""
    config = siglip_refrad2d.get_config("variant=tiny,data=phantom,batch=64")
    config.model.txt.vocab_size = 512
    dims = {"width": 192, "depth": 4, "mlp_dim": 768}
    small = {f"model.{part}.{k}": v for part in ("img", "txt") for k, v in dims.items()}
    scanned = {"model.img.scan": True, "model.txt.scan": True, "optimizer": "adafactor"}
    return config_lib.changed(config, small | scanned | {"optimizer_args": {}} | changes)


def compiled_peak(config):
    """GiB that the compiler reserves for a step of the trainer."""
    compiled = bench_memory.compile_step(config, OPTIONS, memory.batch_shapes(config))
    return bench_memory.held(compiled)["peak"]


@pytest.mark.parametrize(
    "task, changes",
    [
        ("det", {}),
        ("det", {"model.llm.remat_policy": "full", "grad_accum": 2, "input.batch_size": 32}),
        ("seg", {"optimizer": "adamw", "model.llm.remat_policy": "none"}),
    ],
)
def test_the_peak_is_that_of_the_compiler_within_a_tenth(task, changes):
    config = recipe(task, **changes)
    predicted = memory.predict(config, config.model.llm.vocab_size).peak
    assert predicted == pytest.approx(compiled_peak(config), rel=0.1)


def test_the_peak_with_adapters_is_that_of_the_compiler_within_a_tenth():
    config = recipe(**{"input.batch_size": 16})
    radgrounder_det.add_lora(config, 16)
    assert peak(config) == pytest.approx(compiled_peak(config), rel=0.1)


def peak(config):
    return memory.predict(config, config.model.llm.vocab_size).peak


def test_the_shapes_of_pairs_are_those_of_the_input_pipeline():
    config = siglip_refrad2d.get_config("variant=tiny,data=phantom,texts=3,sides=True,batch=4")
    said = {"task": "report", "lang": "en", "sentence": "Cyst of the left kidney."}
    image = np.zeros((112, 112), np.int16)
    fields = dict(id="a", modality="CT", plane="axial", body_part="", patient="")
    example = fields | dict(image=packed.pack(image), texts=[said], rng=np.random.default_rng(0))
    made = builder.get_preprocess_fn(config.input.phantom.pp)(example)
    arrays = {k: x.shape for k, x in made.items() if isinstance(x, np.ndarray)}
    assert {k: x.shape[1:] for k, x in memory.batch_shapes(config).items()} == arrays


def test_the_peak_of_two_towers_is_that_of_the_compiler_or_a_little_more():
    config = pairs(**{"grad_accum": 4} | dict.fromkeys(_POLICIES, "full"))
    predicted = memory.predict(config, 512).peak
    model = models.make(config.model_name, config.model, 512)
    layout = state_lib.lay_out(config, model, sharding.make_mesh(config.mesh), 100)
    loss = losses.get(config.loss)
    step = step_lib.make_train_step(model, loss, layout.optimizer, 4, layout.guard)
    key = jax.eval_shape(lambda: jax.random.key(0))
    lowered = jax.jit(step, donate_argnums=0).lower(layout.target, memory.batch_shapes(config), key)
    found = bench_memory.held(lowered.compile())["peak"]
    # The compiler's figure depends on the processor; this one is 17 % above that of an AMD EPYC.
    assert 0.875 * found <= predicted <= 1.2 * found


def test_what_saves_memory_is_predicted_to():
    as_it_is = peak(recipe())
    assert peak(recipe(**{"model.llm.remat_policy": "full"})) < as_it_is
    assert peak(recipe(grad_accum=8)) < as_it_is
    assert peak(recipe(length=32)) < as_it_is
    # Adapters need less state but keep more activations per row, so one row shows the saving.
    lora = recipe(**{"input.batch_size": 1})
    whole = peak(lora)
    radgrounder_det.add_lora(lora, 4)
    assert peak(lora) < whole
    adam = {"optimizer": "adamw"}
    narrow = adam | {"optimizer_state_dtype": "bfloat16"}
    assert peak(recipe(**narrow)) < peak(recipe(**adam))


def test_fit_changes_as_little_as_it_can_and_what_it_gives_fits():
    config = recipe(**{"input.batch_size": 16})
    vocab = config.model.llm.vocab_size
    card = 0.6 * peak(config) / memory.USABLE
    changes = memory.fit(config, vocab, card)
    assert changes and peak(config_lib.changed(config, changes)) <= memory.USABLE * card
    half = config_lib.changed(config, changes | {"grad_accum": changes["grad_accum"] // 2})
    assert peak(half) > memory.USABLE * card
    assert memory.fit(config, vocab, 2 * peak(config)) == {}
    assert memory.fit(config, vocab, 0.01 * peak(config)) is None


def test_rows_are_as_long_as_the_longest_entry():
    config = recipe()
    with config.unlocked():
        config.input.data.other = 1.0
        config.input.other = dict(pp="load|tok(length=100, pack=True)|keep('text')")
    shapes = memory.batch_shapes(config)
    assert shapes["text"].shape == (8, 101) and shapes["segment"].shape == (8, 101)
    assert shapes["image"].shape == (8, 112, 112, 3)


def test_a_config_without_rows_is_an_error():
    config = recipe()
    config.input.some.pp = "load"
    with pytest.raises(ValueError, match="op tok or caption"):
        memory.predict(config, 4096)
