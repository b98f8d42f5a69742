"""The data of evaluators: preprocessed examples, and the images that controls show instead.

`load` opens the data that an entry of `config.evals` names, as an `EvalData`. A `View` of it gives
the inputs of the model under a control. An evaluator and its controls ask the same questions, so
they share one `EvalData`, which keeps its examples in memory once they are preprocessed.
"""

import collections
import hashlib
import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from big_rad.evaluators import spec as spec_lib
from big_rad.inference import rows
from big_rad.inference.answer import MODEL_FIELDS
from big_rad.pp import builder as pp_builder

CONTROLS = spec_lib.CONTROLS
BLANK_VALUE = rows.BLANK

_KEYS = ("image_key", "text_keys")  # With the op caption.
_TARGETS = "mask_loss"
_HINTS = {
    "reference": 'end it with tok(..., answer=False) and keep("image", "text", "mask_ar", '
    '"reference")',
    _TARGETS: 'end it with tok(...) and keep("image", "text", "mask_ar", "mask_loss")',
}
_LIMIT_SEED = 42  # The seed with which the paper's protocol draws its subset.
_SHUFFLE_SEED = 7
_KEEP_BYTES = 2 << 30
_CACHE_SIZE = 8
_cache: collections.OrderedDict[str, "EvalData"] = collections.OrderedDict()


Source = Sequence[Mapping[str, Any]]
Preprocess = Callable[[dict[str, Any]], Mapping[str, Any]]


class NoData(ValueError):
    """The data have no question for an evaluator."""


class EvalData:
    """Preprocessed evaluation examples with one text each, in a fixed order.

    An item is a dict with these fields:

    - `image`, `text` and `mask_ar`: the arrays that the model reads.
    - `reference`: the target text, if preprocessing ends in tok(..., answer=False).
    - `mask_loss`: the mask of the target tokens, in place of `reference`, if it ends in tok(...).
      The answer is then a part of `text`.
    - `image_key` and `text_keys`: with caption(...) only, see `pp.ops_caption`.
    - `masks`: with ground('masks') only, a list of bool [H, W], one for each `</seg>` of the
      reference.
    - `meta`: a dict of the texts `id` (the id of the question), `image` (the id of its image,
      which several questions may share), `patient`, `modality`, `plane`, `task`, `lang` and
      `question_type`.

    Args:
        source: a sequence of examples with one text each, see `datasets.core.OneTextPerItem`.
        preprocess: the function that turns an example into one with the arrays above and
            `reference` or `mask_loss`.
        limit: the maximum number of items, drawn with a fixed seed; None takes all.

    Raises:
        ValueError: the limit is below 1.
        NoData: the source has no items.
    """

    def __init__(self, source: Source, preprocess: Preprocess, limit: int | None = None):
        self._source, self._preprocess = source, preprocess
        self._indices = np.arange(len(source))
        if limit is not None and limit < 1:
            raise ValueError(f"limit is {limit}: give a number of questions from 1, or None")
        if limit is not None and limit < len(source):
            order = np.random.default_rng(_LIMIT_SEED).permutation(len(source))
            self._indices = order[:limit]
        if not len(self._indices):
            raise NoData(_why_empty(source))
        self._kept: dict[int, dict[str, Any]] = {}
        self._bytes = 0
        self._sha256 = ""
        self._patients: list[Hashable] = []

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, i: int) -> dict[str, Any]:
        if i in self._kept:
            return self._kept[i]
        item = self._make(int(self._indices[i]))
        arrays = [item[k] for k in (*MODEL_FIELDS, _TARGETS) if k in item] + item.get("masks", [])
        size = sum(x.nbytes for x in arrays)
        if self._bytes + size <= _KEEP_BYTES:
            self._kept[i] = item
            self._bytes += size
        return item

    def text(self, i: int) -> Mapping[str, Any]:
        """Returns the text of item i as it is in the dataset, without preprocessing its image."""
        return self._source[int(self._indices[i])]["texts"][0]

    def forget(self) -> None:
        """Frees the examples kept in memory; they are preprocessed again when they are needed."""
        self._kept, self._bytes = {}, 0

    def patients(self) -> list[Hashable]:
        """Returns the patient of each item, as a key that is equal for items of one patient.

        See `patients_of` for items whose dataset names no patient.
        """
        if not self._patients:
            raws = (self._source[int(i)] for i in self._indices)
            self._patients = patients_of([(str(r.get("patient", "")), _image_id(r)) for r in raws])
        return self._patients

    def unnamed(self) -> int:
        """Returns the number of images that count as patients because no patient is named."""
        return len({p for p in self.patients() if isinstance(p, tuple)})

    def sha256(self) -> str:
        """Returns the SHA-256 of all ids, questions and references, in their order.

        The texts are hashed as they are in the dataset, so that the hash does not depend on the
        tokenizer or on the preprocessing.
        """
        if not self._sha256:  # Kept, because the controls ask for the same hash.
            whole = hashlib.sha256()
            for i in self._indices:
                raw = self._source[int(i)]
                line = {"id": raw.get("id"), "texts": raw["texts"]}
                whole.update(json.dumps(line, sort_keys=True, default=str).encode() + b"\n")
            self._sha256 = whole.hexdigest()
        return self._sha256

    def _make(self, index: int) -> dict[str, Any]:
        raw = self._source[index]
        texts = raw["texts"]
        out = self._preprocess({**raw, "rng": np.random.default_rng((0, 0, index))})
        if len(texts) != 1 and _KEYS[-1] not in out:  # A caption may hold several sentences.
            raise ValueError(
                f"example {raw['id']!r} has {len(texts)} texts, an evaluator scores one an item: "
                'set `expand` in the eval\'s config, such as dict(task="vqa", lang="en")'
            )
        answer = "reference" if "reference" in out or _TARGETS not in out else _TARGETS
        missing = [k for k in (*MODEL_FIELDS, answer) if k not in out]
        if missing:
            raise ValueError(
                f"eval pp leaves no {', '.join(missing)}: end it with tok(..., answer=False) and "
                'keep("image", "text", "mask_ar", "reference")'
            )
        meta = {k: str(raw.get(k, "")) for k in ("id", "patient", "modality", "plane")}
        meta["image"] = _image_id(raw)
        meta |= {k: str(texts[0].get(k, "")).strip() for k in ("task", "lang", "question_type")}
        masks = {}
        if "segmap" in out and "mask_classes" in out:
            masks["masks"] = [out["segmap"] == c for c in out["mask_classes"]]
        return {
            **masks,
            **{k: np.asarray(out[k]) for k in (*MODEL_FIELDS, *_KEYS) if k in out},
            answer: _text(out[answer]) if answer == "reference" else np.asarray(out[answer]),
            "meta": meta,
        }


class View:
    """The inputs of the model for the items of an `EvalData`, with the images of a control.

    A view is a sequence of dicts of arrays and can be given to `input_pipeline.eval_batches`.

    Args:
        data: the examples.
        control: which image each question is asked about:
            "none": its own image;
            "blank": an image in which every pixel has the value `blank_value`;
            "shuffled": the image of another patient, see `shuffled_indices`;
            "mirrored": its own image with left and right exchanged, so that a model that uses the
            image names the opposite side.
        blank_value: the value of an empty slice after normalisation, which is the lowest value.

    Raises:
        ValueError: the control is unknown, or it is "shuffled" and there is only one patient.
    """

    def __init__(self, data: EvalData, control: str = "none", blank_value: float = BLANK_VALUE):
        if control not in CONTROLS:
            raise ValueError(f"no control {control!r}; known: {', '.join(CONTROLS)}")
        self._data, self._control, self._blank = data, control, blank_value
        self._donor = shuffled_indices(data.patients()) if control == "shuffled" else None

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, i: int) -> dict[str, np.ndarray]:
        item = self._data[i]
        fields = {k: item[k] for k in (*MODEL_FIELDS, _TARGETS) if k in item}
        return fields | {"image": self.image(i)}

    def image(self, i: int) -> Float[np.ndarray, "height width 3"]:
        """Returns the image that item i is asked about under the control."""
        if self._control == "blank":
            return np.full_like(self._data[i]["image"], self._blank)
        image = self._data[self.donor(i)]["image"]
        return image[:, ::-1].copy() if self._control == "mirrored" else image

    def shown_id(self, i: int) -> str:
        """Returns the id of the example whose image is shown for item i, or "" if it is blank."""
        return "" if self._control == "blank" else self._data[self.donor(i)]["meta"]["id"]

    def donor(self, i: int) -> int:
        """Returns the index of the item whose image is shown for item i."""
        return i if self._donor is None else int(self._donor[i])


def patients_of(items: Sequence[tuple[str, str]]) -> list[Hashable]:
    """Returns the patient of each item, as a key that is equal for items of one patient.

    A dataset that names no patient has "" or the id of the image in the place of the pseudonym.
    The id of an image is taken for the pseudonym of a patient only if another image has it as its
    patient too, because the `folder` dataset names a group of images without a patient after one
    of them.

        [("p1", "a"), ("p1", "b"), ("", "c"), ("d", "d")]
        -> ["p1", "p1", ("image", "c"), ("image", "d")]

    Args:
        items: for each item, the pseudonym of its patient and the id of its image.

    Returns:
        For each item its pseudonym, or ("image", id of the image), which then counts as a patient
        of its own.
    """
    named = {patient for patient, image in items if patient not in ("", image)}
    return [patient if patient in named else ("image", image) for patient, image in items]


def check(name: str, data: EvalData, fields: Sequence[str]) -> None:
    """Checks that the examples have what an evaluator needs.

    Args:
        name: the name of the evaluator, for messages.
        data: its data.
        fields: the fields that each item must have, see `spec.Statement.fields`.

    Raises:
        ValueError: preprocessing leaves out a field, or `mask_loss` marks no target token.
    """
    for field in fields:
        if field not in data[0]:
            there = ", ".join(k for k in data[0] if k != "meta")
            raise ValueError(
                f"config.evals.{name}.pp leaves no {field}, and examples have {there}: "
                + _HINTS.get(field, "let one of its ops add it")
            )
    if _TARGETS in fields and not data[0][_TARGETS].any():
        raise ValueError(
            f"config.evals.{name}.pp leaves no targets in the row: write tok(...) without "
            "answer=False"
        )


def _text(reference: str | Sequence[str]) -> str:
    return reference if isinstance(reference, str) else reference[0]


def _why_empty(source: Source) -> str:
    # Names the texts that were looked for and those that the source has, if it lists them.
    wanted, texts = getattr(source, "wanted", {}), getattr(source, "texts", {})
    if not wanted or not texts:
        return "it has no text to ask about"
    there: collections.Counter[str] = collections.Counter()
    for (task, lang, kind), n in texts.items():
        there[" ".join(filter(None, (task, lang, kind * ("question_type" in wanted))))] += n
    looked_for = ", ".join(f"{k} {v!r}" for k, v in wanted.items())
    found = ", ".join(f"{n:,} of {name}" for name, n in sorted(there.items()))
    return f"it has no text with {looked_for}; its texts are {found}"


def _image_id(raw: Mapping[str, Any]) -> str:
    return str(raw.get("image_id") or raw.get("id", ""))


def shuffled_indices(
    patients: Sequence[Hashable], seed: int = _SHUFFLE_SEED
) -> Int[np.ndarray, " items"]:
    """Returns for each item the index of an item of another patient.

    The patients are put into one random cycle (Sattolo's algorithm with a fixed seed), so no
    patient is paired with itself. The items of a patient are shown the images of the next patient
    in the cycle, in order, and from the first again if that patient has fewer. For example, with
    two patients:

        patients  p  p  p  q  q
        index     0  1  2  3  4
        returned  3  4  3  0  1

    The cycle is drawn over the whole evaluated set and ignores modality, plane and body part: a
    question about a CT image may be shown an MR image, so that questions whose answer is the
    modality lose their score as well.

    Args:
        patients: the patient of every item.
        seed: the seed of the cycle.

    Returns:
        The index of the other item, for each item.

    Raises:
        ValueError: there is only one patient.
    """
    items: dict[Hashable, list[int]] = {}
    for i, patient in enumerate(patients):
        items.setdefault(patient, []).append(i)
    names = list(items)
    if len(names) < 2:
        raise ValueError(
            'control="shuffled" shows each question the image of another patient, and needs items '
            "of two patients or more; here all are of one, so leave this control out"
        )
    rng, order = np.random.default_rng(seed), np.arange(len(names))
    for i in range(len(order) - 1, 0, -1):
        j = rng.integers(i)
        order[i], order[j] = order[j], order[i]
    result = np.empty(len(patients), np.int64)
    for name, k in zip(names, order, strict=True):
        donors = items[names[k]]
        for n, i in enumerate(items[name]):
            result[i] = donors[n % len(donors)]
    return result


def load(spec: Mapping[str, Any], data_dir: str) -> EvalData:
    """Returns the data that an entry of `config.evals` names.

    Entries that name the same data get the same object, as long as it is among the last eight that
    were used.

    Args:
        spec: the entry: `builder`, `split` and `pp`, and optionally `builder_args`, `only`,
            `asked`, `expand` and `limit`.
        data_dir: the folder of the built datasets.

    Raises:
        FileNotFoundError: the dataset is not built.
        ValueError: a field has a value that does not fit.
        NoData: the dataset has no text of the kind that is asked for.
    """
    from big_rad.datasets import core

    key = spec_lib.data_key(spec, data_dir)
    if key not in _cache:
        source = core.make_source(spec, data_dir)
        preprocess = pp_builder.get_preprocess_fn(spec["pp"])
        try:
            _cache[key] = EvalData(source, preprocess, spec.get("limit"))
        except NoData as e:
            raise NoData(f"{_place(spec)}: {e}") from e
    _cache.move_to_end(key)
    while len(_cache) > _CACHE_SIZE:
        _cache.popitem(last=False)
    return _cache[key]


def _place(spec: Mapping[str, Any]) -> str:
    built = "/".join([spec["builder"], *map(str, dict(spec.get("builder_args") or {}).values())])
    shown = ", images with boxes or a label map" if spec.get("only") else ""
    return f"{built} {spec['split']}{shown}"


def clear_cache() -> None:
    """Frees all data that `load` has kept."""
    _cache.clear()
