"""int8 for an export: how matrices are stored in int8, and what that costs.

A matrix is stored as whole numbers -127..127 and one scale for each output channel; the scale is
the largest absolute value of the channel, divided by 127. The matrices of the language model's
layers and its token table are stored so, the table with a scale for each token. The image tower,
the projector, the mask decoder and all norms stay as they are. The values are widened when the
export is loaded, so int8 saves disk and download alone.
"""

import dataclasses
import json
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int8

from big_rad.weights import exported

# The input axes of each matrix of a layer, which a scale is shared over; axis 0 is the layer.
_INPUTS = {
    "llm/layers/attn/q_einsum/w": (2,),
    "llm/layers/attn/kv_einsum/w": (3,),
    "llm/layers/attn/attn_vec_einsum/w": (1, 2),
    "llm/layers/mlp/gating_einsum": (2,),
    "llm/layers/mlp/linear": (1,),
    "llm/embedder/input_embedding": (1,),
}
AGREEMENT = 0.99  # The least share of tokens that must be the same.
LOSS = 0.01  # The most that the mean G-IoU may fall by.
LIMIT = 200  # Questions of each evaluator.
_ROWS = 8  # How many texts are compared together.


class Refused(ValueError):
    """int8 changes the answers of this model too much."""


@dataclasses.dataclass(frozen=True)
class Figures:
    """What int8 changes, over the answers of the run.

    Attributes:
        tokens: the number of tokens of the answers.
        agreement: the share of tokens at which both models find the same token the likeliest.
        locations: the number of location tokens among them.
        agreement_locations: the same share over the location tokens; None without any.
        kl: the mean Kullback-Leibler divergence of the distributions of tokens, in nats.
        kl_locations: the same over the location tokens; None without any.
        pairs: the number of questions with a G-IoU in both evaluations.
        g_iou: the mean G-IoU of the run; None without pairs.
        g_iou_change: the mean of the paired differences, int8 less the run; None without pairs.
    """

    tokens: int
    agreement: float
    locations: int
    agreement_locations: float | None
    kl: float
    kl_locations: float | None
    pairs: int
    g_iou: float | None
    g_iou_change: float | None

    def sentence(self) -> str:
        """Returns the figures in words."""
        text = (
            f"int8 against the run, on {self.tokens:,} tokens of the run's answers: the likeliest "
            f"token is the same for {self.agreement:.4f} of them, KL divergence {self.kl:.2g} nats"
        )
        if self.locations:
            text += (
                f"; on the {self.locations:,} location tokens alone {self.agreement_locations:.4f} "
                f"and {self.kl_locations:.2g} nats"
            )
        if self.pairs:
            text += (
                f"; G-IoU {self.g_iou:.3f} changes by {self.g_iou_change:+.4f} (paired over "
                f"{self.pairs:,} questions)"
            )
        return text + "."

    def check(self) -> None:
        """Checks that the model answers nearly as before.

        Raises:
            Refused: the agreement is below `AGREEMENT`, or G-IoU falls by more than `LOSS`.
        """
        why = []
        if self.agreement < AGREEMENT:
            why.append(f"the token agreement is {self.agreement:.4f}, below {AGREEMENT:g}")
        if self.g_iou_change is not None and self.g_iou_change < -LOSS:
            why.append(f"G-IoU falls by {-self.g_iou_change:.4f}, more than {LOSS:g}")
        if why:
            raise Refused(
                f"--dtype=int8 is refused: {'; '.join(why)}. {self.sentence()} Export with "
                "--dtype=run or --dtype=bfloat16"
            )


def quantised(flat: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns parameters with int8 matrices, and their scales under `exported.SCALES`.

    Args:
        flat: the arrays by name; they may be lazy.
    """
    found: dict[str, np.ndarray] = {}
    for name, value in flat.items():
        array = np.asarray(value)
        if name in _INPUTS:
            array, scale = to_int8(array.astype(np.float32), _INPUTS[name])
            found[exported.SCALES + name] = scale
        found[name] = array
    return found


def to_int8(
    w: Float[np.ndarray, "..."], axes: tuple[int, ...]
) -> tuple[Int8[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Stores a matrix in int8.

    Args:
        w: the matrix, float32.
        axes: its input axes, over which a scale is shared.

    Returns:
        The whole numbers in -127..127, and the scales f32, whose `axes` have length 1.
    """
    scale = np.abs(w).max(axis=axes, keepdims=True) / np.float32(127)
    scale = np.where(scale > 0, scale, np.float32(1)).astype(np.float32)
    return np.rint(w / scale).clip(-127, 127).astype(np.int8), scale


def measure(
    run: pathlib.Path,
    made: pathlib.Path,
    data: str,
    data_dir: str,
    *,
    split: str = "",
    limit: int = LIMIT,
    log: Callable[[str], None] = print,
) -> Figures:
    """Measures what int8 changes, on questions with known answers.

    Args:
        run: the checkpoint that the export was made from.
        made: the export.
        data: the datasets, such as "phantom+slake".
        data_dir: where the built datasets lie.
        split: their split; "" takes the validation split.
        limit: the most questions of each evaluator; 0 asks all.
        log: receives lines of progress.

    Raises:
        FileNotFoundError: a dataset is not built.
        ValueError: no evaluator has questions.
    """
    from big_rad import evaluate  # Evaluators need Grain, and other exports do not.

    config = evaluate.data_config(run, data, split or "validation")
    with config.unlocked():
        for name in [n for n, e in config.evals.items() if e.get("control", "none") != "none"]:
            del config.evals[name]
        for entry in config.evals.values() if limit else ():
            entry.limit = limit
    samples: list[dict[tuple[str, int], Mapping[str, Any]]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, checkpoint in enumerate((run, made)):
            log(f"int8: evaluating {'the run' if number == 0 else 'the export'} on {data}")
            out = pathlib.Path(folder) / str(number)
            evaluate.evaluate(config, checkpoint, data_dir, out, log=lambda _: None, resamples=1)
            samples.append(_samples(out / "samples"))
    pairs = [
        (a["scores"]["g_iou"], b["scores"]["g_iou"])
        for key, a in samples[0].items()
        if (b := samples[1].get(key)) is not None
        and a["scores"].get("g_iou") is not None
        and b["scores"].get("g_iou") is not None
    ]
    texts = {key: str(s["prediction"]) for key, s in samples[0].items()}
    sums = _sums(config, run, made, data_dir, texts)
    if not sums["tokens"]:
        raise ValueError(f"--data={data}: no evaluator asks for a text; name other datasets")
    first, change = (np.mean([f(p) for p in pairs]) if pairs else None for f in _PAIR)
    located = sums["locations"]
    return Figures(
        tokens=int(sums["tokens"]),
        agreement=sums["same"] / sums["tokens"],
        locations=int(located),
        agreement_locations=sums["same_locations"] / located if located else None,
        kl=sums["kl"] / sums["tokens"],
        kl_locations=sums["kl_locations"] / located if located else None,
        pairs=len(pairs),
        g_iou=None if first is None else float(first),
        g_iou_change=None if change is None else float(change),
    )


_PAIR: tuple[Callable[[tuple[float, float]], float], ...] = (
    lambda pair: pair[0],
    lambda pair: pair[1] - pair[0],
)


def _samples(folder: pathlib.Path) -> dict[tuple[str, int], Mapping[str, Any]]:
    found = {}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            one = json.loads(line)
            if "prediction" in one and "scores" in one:
                found[path.stem, int(one["index"])] = one
    return found


def _sums(
    config: Any,
    run: pathlib.Path,
    made: pathlib.Path,
    data_dir: str,
    texts: Mapping[tuple[str, int], str],
) -> dict[str, float]:
    # Both models read the run's own answers, and their distributions at each token are compared.
    import jax
    import jax.numpy as jnp

    from big_rad.inference import load as load_lib

    silent: Callable[[str], None] = lambda _: None  # noqa: E731
    first, second = (load_lib.load(x, log=silent) for x in (run, made))
    low = int(first.tokenizer.loc_ids[0])
    high = low + len(first.tokenizer.loc_ids)

    @jax.jit
    def compare(a: Any, b: Any, image: Any, text: Any, mask_ar: Any) -> dict[str, Any]:
        one, other = (
            jax.nn.log_softmax(first.model.apply({"params": p}, image, text, mask_ar)[0][:, :-1])
            for p in (a, b)
        )
        counts = (mask_ar[:, 1:] == 1) & (text[:, 1:] != 0)
        located = counts & (text[:, 1:] >= low) & (text[:, 1:] < high)
        same = one.argmax(-1) == other.argmax(-1)
        kl = (jnp.exp(one) * (one - other)).sum(-1)
        return dict(
            tokens=counts.sum(),
            same=(same & counts).sum(),
            kl=jnp.where(counts, kl, 0).sum(),
            locations=located.sum(),
            same_locations=(same & located).sum(),
            kl_locations=jnp.where(located, kl, 0).sum(),
        )

    total = dict.fromkeys(
        ("tokens", "same", "kl", "locations", "same_locations", "kl_locations"), 0.0
    )
    for image, text, mask_ar in _forced(config, data_dir, texts, first.tokenizer):
        found = jax.device_get(compare(first.params, second.params, image, text, mask_ar))
        total = {k: v + float(found[k]) for k, v in total.items()}
    return total


def _forced(
    config: Any, data_dir: str, texts: Mapping[tuple[str, int], str], tokenizer: Any
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    # Yields batches of images, of prompts with their answers, and of 1 at the answers.
    from big_rad.evaluators import data as eval_data

    rows = []
    for name, spec in config.evals.items():
        asked = [i for n, i in texts if n == name]
        data = eval_data.load(spec.to_dict(), data_dir) if asked else None
        for i in asked:
            item = data[i]
            prompt = [int(t) for t in item["text"] if t]
            answer = tokenizer.encode(texts[name, i], eos=True, specials=True)
            rows.append((np.asarray(item["image"]), prompt, answer))
        if data is not None:
            data.forget()
    rows.sort(key=lambda r: len(r[1]) + len(r[2]))
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        length = -(-max(len(p) + len(a) for _, p, a in part) // 64) * 64
        text, mask_ar = np.zeros((2, _ROWS, length), np.int32)
        image = np.zeros((_ROWS, *part[0][0].shape), np.float32)
        text[:, 0] = tokenizer.bos_id  # Rows that fill up the batch.
        for k, (pixels, prompt, answer) in enumerate(part):
            end = len(prompt) + len(answer)
            image[k], text[k, :end] = pixels, [*prompt, *answer]
            mask_ar[k, len(prompt) : end] = 1
        yield image, text, mask_ar
