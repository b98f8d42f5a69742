"""The training state: its shapes, the devices that hold its arrays, and its initial values."""

import contextlib
import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from big_rad import models, sharding, trees, weights
from big_rad.config.defaults import Config
from big_rad.inference import load
from big_rad.models import lora
from big_rad.pp import tokenizer as tokenizers
from big_rad.training import optim
from big_rad.training import step as step_lib
from big_rad.weights import infer, table, two_towers
from big_rad.workdir import checkpoint

# The sizes of a tower that its shapes show.
_SIZES = ("width", "depth", "mlp_dim", "num_heads", "num_kv_heads", "head_dim", "patch_size")
_POOL = "MAPHead_0"  # The attention pool of SigLIP's image tower.


@dataclasses.dataclass(frozen=True)
class Layout:
    """The shapes and shardings of a training state, before any of its arrays is allocated.

    Attributes:
        model: the Flax module.
        config: the whole config.
        optimizer: the optimizer, which also says which parameters are trained.
        guard: the guard against bad steps, or None.
        shapes: the shapes of the flat parameters, in the dtypes that they are kept in.
        shardings: a tree like the state, with the sharding of each array.
        target: a tree like the state, with the shape, dtype and sharding of each array;
            checkpoints are restored into it.
    """

    model: nn.Module
    config: Config
    optimizer: optim.Optimizer
    guard: step_lib.Guard | None
    shapes: Mapping[str, jax.ShapeDtypeStruct]
    shardings: Mapping[str, Any]
    target: Mapping[str, Any]

    def begin(
        self,
        rng: Key[Array, ""],
        tokenizer: tokenizers.Tokenizer,
        log: Callable[[str], None] = print,
    ) -> dict[str, Any]:
        """Returns the state of step 0 on the devices: random, or loaded from `config.model_init`.

        Args:
            rng: the key of the random parameters.
            tokenizer: the tokenizer that the model is trained with.
            log: receives which parts of a checkpoint were left out, guessed or filled in.

        Raises:
            FileNotFoundError: The checkpoint does not exist.
            ValueError: Tensors of the checkpoint do not fit the model.
        """

        def draw(rng: Key[Array, ""]) -> dict[str, jax.Array]:
            drawn = trees.flatten(models.init_params(self.model, self.config, rng))
            return {n: p.astype(self.shapes[n].dtype) for n, p in drawn.items()}

        def rest(params: dict[str, Any]) -> dict[str, Any]:
            new = _init_opt_state(self.optimizer, params)
            new = {"opt_state": new, "step": jnp.zeros((), jnp.int32)}
            return new | ({"guard": self.guard.init()} if self.guard is not None else {})

        target = self.target["params"]
        params = initial_params(self.config, draw, target, rng, tokenizer, log)
        shardings = {k: v for k, v in self.shardings.items() if k != "params"}
        return {"params": params, **jax.jit(rest, out_shardings=shardings)(params)}


def lay_out(config: Config, model: nn.Module, mesh: jax.sharding.Mesh, total_steps: int) -> Layout:
    """Returns the layout of a training state without allocating any array.

    Args:
        config: the whole config.
        model: the Flax module.
        mesh: the mesh of devices.
        total_steps: the number of steps of the run, for the schedules.
    """
    abstract = trees.flatten(models.init_shapes(model, config))
    optimizer = optim.make(config, abstract, total_steps)
    shapes = step_lib.kept_shapes(config, abstract, optimizer.trainable)
    guard = step_lib.make_guard(config)
    state = {"params": trees.unflatten(shapes)}
    state["opt_state"] = jax.eval_shape(lambda p: _init_opt_state(optimizer, p), state["params"])
    state["step"] = jax.ShapeDtypeStruct((), jnp.int32)
    if guard is not None:
        state["guard"] = jax.eval_shape(guard.init)
    places = sharding.infer(abstract, config.sharding_strategy, mesh)
    shardings = {name: sharding.like_params(part, places, mesh) for name, part in state.items()}
    shardings["params"] = trees.unflatten(places)
    target = jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), state, shardings
    )
    return Layout(model, config, optimizer, guard, shapes, shardings, target)


def restore_or_begin(
    layout: Layout,
    checkpoints: checkpoint.Checkpointer,
    rng: Key[Array, ""],
    tokenizer: tokenizers.Tokenizer,
    log: Callable[[str], None] = print,
) -> checkpoint.Restored:
    """Returns the newest checkpoint of a run, or the state of step 0 if the run has no checkpoint.

    Args:
        layout: the layout of the state.
        checkpoints: the checkpoints of the run.
        rng, tokenizer, log: see `Layout.begin`.

    Returns:
        The checkpoint. At step 0 its `data` and `meta` are empty.

    Raises:
        Misfit: The checkpoint belongs to another model or optimizer.
        CheckpointError: There are checkpoints, but none of them can be read.
        FileNotFoundError, ValueError: See `Layout.begin`.
    """
    found = checkpoints.restore(layout.target)
    return found or checkpoint.Restored(0, layout.begin(rng, tokenizer, log), {}, {})


def restore_best(
    layout: Layout, checkpoints: checkpoint.Checkpointer, steps: Sequence[int]
) -> tuple[dict[str, Any], int]:
    """Returns the state of the best checkpoint that can be used, and its step.

    Args:
        layout: the layout of the state.
        checkpoints: the checkpoints of the run.
        steps: the steps that have a score, the best first. If no checkpoint of them can be used,
            the newest one is restored.
    """
    try:
        found = checkpoints.restore(layout.target, first=steps)
    except checkpoint.Misfit:  # It was written before the run went on with another optimizer.
        found = checkpoints.restore(layout.target)
    return found.state, found.step


def initial_params(
    config: Config,
    draw: Callable[[Key[Array, ""]], dict[str, jax.Array]] | None,
    target: Mapping[str, Any],
    rng: Key[Array, ""] | None,
    tokenizer: tokenizers.Tokenizer,
    log: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Returns the nested parameters of step 0, random or loaded array by array onto the devices.

    Args:
        config: the config, of which `model_init`, `model_init_img`, `dont_load`, `model_name` and
            `model` are read.
        draw: a function from a key to flat random parameters; None if all of them are loaded.
        target: the nested shapes of the parameters, with dtypes and shardings.
        rng: the key for `draw`.
        tokenizer: the tokenizer that the model is trained with.
        log: receives which parts of a checkpoint were left out, guessed or filled in.

    Raises:
        FileNotFoundError: The checkpoint does not exist.
        ValueError: Tensors of the checkpoint do not fit the model.
    """
    flat, dont_load = trees.flatten(target), tuple(config.dont_load)
    # Do not initialise parameters that will be loaded: that would need their memory twice.
    kept = (*dont_load, f"{lora.PREFIX}.*") if config.model_init else (".*",)
    drawn = [n for n in flat if any(re.fullmatch(p, n) for p in kept)]

    def chosen(rng: Key[Array, ""]) -> dict[str, jax.Array]:
        new = draw(rng)
        return {n: new[n] for n in drawn}

    if drawn:
        flat |= jax.jit(chosen, out_shardings={n: flat[n].sharding for n in drawn})(rng)
    params = trees.unflatten(flat)
    if config.model_init:
        rows = flat[table.TEXT if table.TEXT in flat else table.NAME].shape[0]
        tree, _ = load.read_tree(config.model_init, tokenizer, rows, trained=True, log=log)
        if not dont_load:
            _check_sizes(config.model_init, tree, params)
        _check_context(config.model_init, tree, params)
        params = models.load(config.model_name, params, tree, dont_load)
    if config.model_init_img:
        image = _with_image_tower(params["img"], config.model_init_img, log)
        params = {**params, "img": image}
    return params


def _check_sizes(path: str, tree: Mapping[str, Any], params: Mapping[str, Any]) -> None:
    # Names the fields of the config where the model has other sizes than the checkpoint. All other
    # differences are found when the arrays are fitted.
    held, wanted = (_sizes(path, x) for x in (tree, params))
    wrong = {
        f"config.model.{part}.{field}": (held[part][field], size)
        for part, sizes in wanted.items()
        for field, size in sizes.items()
        if part in held and held[part][field] != size
    }
    if wrong:
        differ = "\n  ".join(f"{n} is {ours}, {path} has {its}" for n, (its, ours) in wrong.items())
        take = " ".join(f"--{n}={its}" for n, (its, _) in wrong.items())
        raise ValueError(
            f"the model and the checkpoint {path} have other sizes:\n  {differ}\nStart from a "
            f"checkpoint of the model's sizes (a recipe may have a `variant` of them), or give the "
            f"model those of the checkpoint: {take}"
        )


def _sizes(path: str, tree: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    # The sizes of each tower in the names of its config, as far as the shapes tell them.
    flat, found = trees.flatten(tree), {}
    for part, read in (
        ("img", lambda: infer.vision_cfg(flat, path, "img/")),
        ("txt", lambda: two_towers.model_cfg(flat, path)["txt"]),
        ("llm", lambda: infer.model_cfg(flat, path)["llm"]),
    ):
        with contextlib.suppress(ValueError):  # It has no such tower, or not all of it.
            found[part] = {n: x for n, x in read().items() if n in _SIZES}
    return found


def _check_context(path: str, tree: Mapping[str, Any], params: Mapping[str, Any]) -> None:
    # The text tower embeds a text at its last position, so another length is another model.
    held, wanted = (x.get("txt", {}).get("pos_embedding") for x in (tree, params))
    if held is None or wanted is None or held.shape[1] == wanted.shape[1]:
        return
    raise ValueError(
        f"config.model.txt.length is {wanted.shape[1]}, and the text tower of {path} was trained "
        f"with texts of {held.shape[1]} tokens and embeds a text at its last position; take its "
        f"length for the model and for the op caption: "
        f"--config=configs/siglip_refrad2d.py:length={held.shape[1]}"
    )


def _with_image_tower(
    params: Mapping[str, Any], path: str, log: Callable[[str], None]
) -> dict[str, Any]:
    # Loads the image tower of any checkpoint, whose layers behind the tower may be others.
    tree = weights.load(path, lazy=True, log=log)
    if "img" in tree:
        others = [n for n in tree if n != "img"]
        log(f"{path}: only its image tower is loaded" + "".join(f", not {n}" for n in others))
        tree = tree["img"]
    _check_sizes(path, {"img": tree}, {"img": params})
    tree, pools = dict(tree), [_POOL in x for x in (tree, params)]
    if pools == [True, False]:
        # What follows the pool of a SigLIP is no projector to a decoder, though it may be called
        # `head` as well.
        left = [n for n in (_POOL, "head") if tree.pop(n, None) is not None]
        log(f"{path}: left out: img/{', img/'.join(left)}, which embed the image for texts")
    kept = [n for n in (_POOL, "head") if n in params and n not in tree]
    if kept:
        # An image tower that was trained alone has no projector to the decoder.
        log(f"{path} has no img/{', img/'.join(kept)}: that of the model is kept")
    return models.load("siglip", params, tree, tuple(f"{n}/.*" for n in kept))


def _init_opt_state(optimizer: optim.Optimizer, params: Mapping[str, Any]) -> Any:
    flat = trees.flatten(params)
    return optimizer.tx.init({n: p for n, p in flat.items() if optimizer.trainable[n]})
