"""Reads back what the model is given for one example: its tokens, its texts, its boxes or masks.

Prompts, targets and boxes are decoded from the tokens of the row and not copied from the data, so
that mistakes and omissions of preprocessing become visible.
"""

import dataclasses
import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from big_rad.grounding import boxes as box_lib
from big_rad.grounding import classes, markup
from big_rad.grounding import codec as codecs
from big_rad.pp import builder as pp_builder
from big_rad.pp import example as example_lib
from big_rad.pp import prompts
from big_rad.pp import tokenizer as tokenizer_lib
from big_rad.pp.example import Example
from big_rad.registry import parse_call

ABSENT, UNMARKED = "not in the slice", "in the slice, but not marked"


@dataclasses.dataclass(frozen=True)
class Token:
    """One position of a row.

    Attributes:
        position: the position in the row; 0 is the first `<bos>`.
        id: the id of the token.
        piece: the text of the token; the name of a control piece.
        mask_ar, mask_loss, segment: the values of these arrays at the position.
        role: "bos", "prompt", "separator" (the newline that ends the prompt), "target", "eos" or
            "pad".
    """

    position: int
    id: int
    piece: str
    mask_ar: int
    mask_loss: int
    segment: int
    role: str


@dataclasses.dataclass(frozen=True)
class Entity:
    """A phrase that is grounded in the target.

    Attributes:
        phrase: the words.
        span: the start and the end of the phrase in the visible text.
        class_id: the class, 1..121; 0 if the markup does not give it.
        class_name: TotalSegmentator's name of the class; "" for class 0.
        box: (x1, y1, x2, y2) in pixels of the model's image; None with masks.
        mask: bool [H, W] on the model's image; None with boxes.
    """

    phrase: str
    span: tuple[int, int]
    class_id: int
    class_name: str
    box: tuple[float, float, float, float] | None = None
    mask: np.ndarray | None = dataclasses.field(default=None, compare=False)


@dataclasses.dataclass(frozen=True)
class Text:
    """One text of a row.

    Attributes:
        segment: the number of its segment in the row, from 1.
        prompt: the whole prefix that the model reads, as text.
        suffix: the target with markup. In a row of an evaluation, which does not have the target,
            it is the reference.
        visible: the target without markup.
        answered: whether the row has the target.
        entities: the entities of the target.
        tokens: the number of its tokens, including `<bos>` and `<eos>`.
        cut: whether tokens were cut off because the text was too long.
        task, lang, question_type: the fields of the text with these names; "" if it does not have
            them.
        style: which context the prompt of a report has, one of `prompts.STYLES`; "" for other
            tasks.
        grounded: whether boxes or masks are asked for.
        left_out: (phrase, class id, ABSENT or UNMARKED) of each keyword without markup.
        problems: the mistakes in the markup.
    """

    segment: int
    prompt: str
    suffix: str
    visible: str
    answered: bool
    entities: tuple[Entity, ...]
    tokens: int
    cut: bool
    task: str
    lang: str
    question_type: str
    style: str
    grounded: bool
    left_out: tuple[tuple[str, int, str], ...]
    problems: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Row:
    """One example as the model is given it.

    Attributes:
        id: the id of the example.
        image_id: the id of the image that was chosen, if the example has several; else "".
        modality, plane, body_part: the fields of the example with these names; "" if unknown.
        image: f32 [H, W, 3], the model's image.
        tokens: every position of the row, including padding.
        texts: the texts, in the order of the row.
        unplaced: the number of texts that were drawn but found no room in the row.
    """

    id: str
    image_id: str
    modality: str
    plane: str
    body_part: str
    image: np.ndarray
    tokens: tuple[Token, ...]
    texts: tuple[Text, ...]
    unplaced: int

    @property
    def used(self) -> int:
        """The number of positions up to the last token that is not padding."""
        return max((t.position + 1 for t in self.tokens if t.role != "pad"), default=0)


def without_keep(pp: str) -> str:
    """Returns a preprocessing string without `keep` at its end, so that all fields stay.

    Raises:
        ValueError: the string cannot be read.
    """
    parts = pp_builder.split(pp)
    while parts and parse_call(parts[-1])[0] == "keep":
        parts.pop()
    return "|".join(parts)


def arguments(pp: str, name: str) -> dict[str, Any] | None:
    """Returns the arguments of the first op called `name`, including defaults; None if absent."""
    for part in pp_builder.split(pp):
        op, args, kwargs = parse_call(part)
        if op == name:
            bound = inspect.signature(pp_builder.OPS.get(op)).bind(*args, **kwargs)
            bound.apply_defaults()
            return dict(bound.arguments)
    return None


class Reader:
    """Reads the examples that a preprocessing string makes.

    Args:
        pp: the preprocessing string; its ops `tok` and `ground` give tokenizer, codec and kind of
            markup.

    Attributes:
        tokenizer: the tokenizer of `tok`.
        codec: the box codec of `ground`; the default codec if there is no `ground`.
        mode: the kind of markup: "boxes", "masks" or "none".
        length: the number of positions of a row that the model sees.

    Raises:
        ValueError: the string has no `tok`.
        FileNotFoundError: the tokenizer's file is missing.
    """

    def __init__(self, pp: str):
        tok, ground = arguments(pp, "tok"), arguments(pp, "ground") or {}
        if tok is None:
            raise ValueError(f"the preprocessing {pp!r} has no tok(...), so there are no tokens")
        self.tokenizer = tokenizer_lib.load(tok["tokenizer"], tuple(tok["sets"]))
        self.length = int(tok["length"])
        self.mode = ground.get("mode", "none")
        self.codec = codecs.get_codec(ground.get("codec", "radgrounder"), grid=ground.get("grid"))

    def row(self, example: Example) -> Row:
        """Reads an example.

        Args:
            example: the output of the preprocessing string without its `keep`, so that all fields
                are there.
        """
        tokens = self.tokens(example)
        image = np.asarray(example["image"], np.float32)
        pool = list(example["texts"])
        segments = sorted({t.segment for t in tokens if t.segment})
        parts = [[t for t in tokens if t.segment == s] for s in segments]
        sources = self._match(parts, pool)
        texts = [
            self._text(part, source, example) for part, source in zip(parts, sources, strict=True)
        ]
        fields = {k: str(example.get(k) or "") for k in ("id", "modality", "plane", "body_part")}
        return Row(
            **fields,
            image_id=str(example.get("image_id") or ""),
            image=image,
            tokens=tuple(tokens),
            texts=tuple(texts),
            unplaced=len(pool) - len(parts),
        )

    def tokens(self, example: Example) -> list[Token]:
        """Returns all positions of the row.

        Args:
            example: an example with the arrays `text`, `mask_ar`, `mask_loss` and `segment`.
        """
        tok, result = self.tokenizer, []
        arrays = [np.asarray(example[k]) for k in ("text", "mask_ar", "mask_loss", "segment")]
        for position, values in enumerate(zip(*arrays, strict=True)):
            i, ar, loss, segment = (int(v) for v in values)
            role = "target" if ar else "prompt"
            role = {tok.pad_id: "pad", tok.bos_id: "bos", tok.eos_id: "eos"}.get(i, role)
            result.append(Token(position, i, tok.decode([i]), ar, loss, segment, role))
        for k, token in enumerate(result):
            ends = k + 1 == len(result) or result[k + 1].role != "prompt"
            if token.role == "prompt" and ends and token.piece.endswith("\n"):
                result[k] = dataclasses.replace(token, role="separator")
        return result

    def _match(self, parts: Sequence[list[Token]], pool: Sequence[dict]) -> list[dict]:
        """Finds the text that each segment was made from; of a cut text only the start is there."""
        full = [self._encoded(text) for text in pool]
        free, result = list(range(len(pool))), []
        for part in parts:
            prefix, suffix = _ids(part)
            exact = [i for i in free if full[i] == (prefix, suffix)]
            begun = [i for i in free if full[i][1][: len(suffix)] == suffix]
            begun.sort(key=lambda i: -_common(full[i][0], prefix))
            i = (exact or begun or free)[0]
            free.remove(i)
            result.append(pool[i])
        return result

    def _encoded(self, text: example_lib.Text) -> tuple[list[int], list[int]]:
        encode = self.tokenizer.encode
        return encode(text["prefix"]), encode(text["suffix"], specials=text.get("markup", False))

    def _text(self, part: list[Token], source: example_lib.Text, example: Example) -> Text:
        prefix, suffix = _ids(part)
        full_prefix, full_suffix = self._encoded(source)
        answered = any(t.mask_ar for t in part)
        target = self.tokenizer.decode(suffix) if answered else source["suffix"]
        parsed = markup.Parsed(target, (), ())
        if source.get("markup"):
            parsed = markup.parse(target, self.codec)
        entities = self._entities(parsed, part, source, example)
        return Text(
            segment=part[0].segment,
            prompt=self.tokenizer.decode(prefix),
            suffix=target,
            visible=parsed.text,
            answered=answered,
            entities=entities,
            tokens=len(part),
            cut=prefix != full_prefix or (answered and suffix != full_suffix),
            task=source["task"],
            lang=source["lang"],
            question_type=str(source.get("question_type") or "").strip(),
            style=_style(source),
            grounded=bool(source.get("grounded")),
            left_out=_left_out(source, entities, self._present(example)),
            problems=tuple(f"{p.kind.value}: {p.excerpt}" for p in parsed.problems),
        )

    def _entities(
        self,
        parsed: markup.Parsed,
        part: list[Token],
        source: example_lib.Text,
        example: Example,
    ) -> tuple[Entity, ...]:
        height, width = np.shape(example["image"])[:2]
        mask_classes = self._mask_classes(part, source, example)
        result = []
        for e in parsed.entities:
            if e.mask_index is None:
                box = None if e.box is None else box_lib.to_pixels(e.box, width, height)
                result.append(Entity(e.phrase, e.span, e.class_id, class_name(e.class_id), box))
                continue
            k = mask_classes[e.mask_index] if e.mask_index < len(mask_classes) else 0
            mask = np.asarray(example["segmap"]) == k if k else None
            result.append(Entity(e.phrase, e.span, k, class_name(k), mask=mask))
        return tuple(result)

    def _mask_classes(
        self, part: list[Token], source: example_lib.Text, example: Example
    ) -> list[int]:
        """Returns the class id of each mask of a text, in order.

        They are read from `mask_pos` and `mask_class`, the arrays that training uses, if the row
        has the answer; otherwise they are those of the text.
        """
        if "mask_pos" not in example or not any(t.mask_ar for t in part):
            return list(source.get("mask_classes") or ())
        at = dict(zip(map(int, example["mask_pos"]), map(int, example["mask_class"]), strict=True))
        end = self.tokenizer.markup.get("</seg>")
        return [at.get(t.position, 0) for t in part if t.id == end and t.mask_ar]

    def _present(self, example: Example) -> set[int]:
        """Returns the classes that the op `ground` could have marked."""
        full = example.get("segmap_full")
        segmap = example.get("segmap") if full is None or self.mode == "masks" else full
        found = set() if segmap is None else {int(c) for c in np.unique(segmap)}
        if self.mode == "boxes":
            found |= {int(box[4]) for box in example.get("boxes") or ()}
        return found - {0}


def class_name(class_id: int) -> str:
    """Returns the name of a class id, or "" for 0 and other numbers that are not a class."""
    return classes.by_id(class_id).name if 1 <= class_id <= classes.NUM_CLASSES else ""


def _ids(part: list[Token]) -> tuple[list[int], list[int]]:
    """Returns the prefix and suffix ids of one text's tokens, without `<bos>` and `<eos>`."""
    inner = [t for t in part if t.role not in ("bos", "eos")]
    return [t.id for t in inner if not t.mask_ar], [t.id for t in inner if t.mask_ar]


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


def _style(text: example_lib.Text) -> str:
    """Returns the first of `prompts.STYLES` that gives the context of the prompt.

    Several styles give the same context if a field of the text is empty.
    """
    if text["task"] != "report":
        return ""
    context = text.get("context", "")
    return next((s for s in prompts.STYLES if prompts.context(text, s) == context), "")


def _left_out(
    text: example_lib.Text, entities: Sequence[Entity], present: set[int]
) -> tuple[tuple[str, int, str], ...]:
    if not text.get("grounded"):
        return ()
    marked = {e.class_id for e in entities}
    return tuple(
        (str(phrase), int(k), UNMARKED if int(k) in present else ABSENT)
        for phrase, k in text.get("keywords") or ()
        if int(k) not in marked
    )
