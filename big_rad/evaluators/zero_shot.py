"""Evaluates what two towers know of an image without having been trained to name it.

A question such as "CT or MR?" is asked by prompts: the image belongs to the value whose prompts are
most similar to it (Radford et al. 2021, "Learning Transferable Visual Models From Natural Language
Supervision"). Whether an organ is shown is asked by a pair of prompts, one that says so and one
that denies it (Tiu et al. 2022, "Expert-level detection of pathologies from unannotated chest X-ray
images via self-supervised learning"). The side is asked with the image's own text: it should be
more similar to the image than the same text with left and right exchanged.
"""

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int

from big_rad.evaluators import embedded
from big_rad.evaluators import samples as sample_files
from big_rad.evaluators import spec as spec_lib
from big_rad.evaluators.records import Interval, Record
from big_rad.grounding import classes, exchanged_sides
from big_rad.metrics import calibration, resampled
from big_rad.pp import ops_caption

# language -> question -> value -> prompts, whose mean embedding stands for the value.
PROMPTS: Mapping[str, Mapping[str, Mapping[str, Sequence[str]]]] = {
    "en": {
        "modality": {
            "CT": ("A CT image.", "A slice of a computed tomography scan.", "CT scan."),
            "MR": ("An MR image.", "A slice of a magnetic resonance imaging scan.", "MRI scan."),
        },
        "plane": {
            "axial": ("An axial slice.", "A slice in the axial plane.", "Axial image."),
            "coronal": ("A coronal slice.", "A slice in the coronal plane.", "Coronal image."),
            "sagittal": ("A sagittal slice.", "A slice in the sagittal plane.", "Sagittal image."),
        },
    },
    "de": {
        "modality": {
            "CT": ("Ein CT-Bild.", "Eine Schicht einer Computertomographie.", "CT-Aufnahme."),
            "MR": ("Ein MR-Bild.", "Eine Schicht einer Kernspintomographie.", "MRT-Aufnahme."),
        },
        "plane": {
            "axial": ("Eine axiale Schicht.", "Eine Schicht in axialer Ebene.", "Axiales Bild."),
            "coronal": (
                "Eine koronare Schicht.", "Eine Schicht in koronarer Ebene.", "Koronares Bild.",
            ),
            "sagittal": (
                "Eine sagittale Schicht.", "Eine Schicht in sagittaler Ebene.", "Sagittales Bild.",
            ),
        },
    },
}  # fmt: skip
# language -> (prompts that an organ is shown, prompts that it is not). No word depends on the
# gender of the organ's name.
ORGANS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "en": (
        ("This slice shows the {}.", "The {} is shown.", "Visible: {}."),
        ("This slice does not show the {}.", "The {} is not shown.", "Not visible: {}."),
    ),
    "de": (
        ("Diese Schicht zeigt: {}.", "{} dargestellt.", "Sichtbar: {}."),
        ("Diese Schicht zeigt nicht: {}.", "{} nicht dargestellt.", "Nicht sichtbar: {}."),
    ),
}
_QUESTIONS = ("organ", "modality", "plane")
_NAMES = tuple(c.name for c in classes.CLASSES)
_RESAMPLES = 1000  # The most resamples of an AUROC, which is slower than a mean.
Item = Mapping[str, Any]  # An item of `EvalData`.
# question -> value -> a number for each image. As a truth it is 1 if the image has the value, 0 if
# it has another one, and NaN if that is not known. As a margin it is how much more similar the
# image is to the prompts of the value than to those of any other one.
Table = dict[str, dict[str, Float[np.ndarray, " images"]]]


class Evaluator(embedded.Embedded):
    """Asks images for their modality, plane, organs and side.

    Args:
        fewest: the fewest images that have a value, and the fewest that do not, for the AUROC of
            the value to be computed.
        sentences: a regular expression. If it is given, `side_sentences` is yielded as well: the
            side is asked with each sentence of the image in which the expression is found. So one
            can leave out sentences that stay true with left and right exchanged, such as "The left
            kidney is normal".
        args, options: see `embedded.Embedded`.

    `run` yields `auroc_organ`, `side`, `auroc_modality`, `accuracy_modality`, `auroc_plane` and
    `accuracy_plane`. The AUROC of modality and plane is the mean over their values, each against
    the others; that of organs is the mean over the classes, each of which is also yielded
    (`auroc_organ_liver`). `side` is the share of texts that are more similar to their image than
    the same text with left and right exchanged, where equal similarities count one half; only texts
    that name exactly one side count. `chance_modality` and `chance_plane` are the accuracies of
    always answering with the most frequent value. `n_modality`, `n_plane` and `n_side` are the
    numbers of images that count, `n_organ` is that of classes, and `n` that of all images. What the
    data cannot answer is left out, and a printed line says why.

    Attributes:
        left_out: question -> why the data cannot answer it, after a run.
    """

    scores = (
        spec_lib.Score("auroc_organ", "AUROC, organ shown", groups=_NAMES, chance=0.5),
        spec_lib.Score("side", "true side before the exchanged one", chance=0.5),
        spec_lib.Score(
            "side_sentences",
            "true side before the exchanged one, chosen sentences",
            chance=0.5,
            option="sentences",
        ),
        spec_lib.Score("auroc_modality", "AUROC, modality", chance=0.5),
        spec_lib.Score("accuracy_modality", "accuracy, modality", chance="chance_modality"),
        spec_lib.Score("chance_modality", "accuracy by chance, modality", count=True),
        spec_lib.Score("auroc_plane", "AUROC, plane", chance=0.5),
        spec_lib.Score("accuracy_plane", "accuracy, plane", chance="chance_plane"),
        spec_lib.Score("chance_plane", "accuracy by chance, plane", count=True),
        *(spec_lib.Score(f"n_{x}", count=True) for x in (*_QUESTIONS, "side")),
        spec_lib.Score("n_side_sentences", count=True, option="sentences"),
        spec_lib.Score("n", count=True),
    )
    main = ("auroc_organ", "side")
    titles = {"zero_shot_en": "Zero-shot, English", "zero_shot_de": "Zero-shot, German"}
    place = 41
    left_out: Mapping[str, str] = {}

    def __init__(
        self,
        *args: Any,
        fewest: int = 5,
        sentences: str = "",
        **options: Any,
    ):
        super().__init__(*args, **options)
        if fewest < 1:
            raise ValueError(f"config.evals.{self.name}.fewest is {fewest}: give a number from 1")
        try:
            self._sentences = re.compile(sentences) if sentences else None
        except re.error as e:
            raise ValueError(
                f"config.evals.{self.name}.sentences is {sentences!r}, which is no regular "
                f"expression: {e}"
            ) from e
        self._fewest = fewest

    def run(self, params: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
        """Computes the scores, writes the samples files and yields (name of a score, value)."""
        gallery = self.gallery()
        items = [self.data[i] for i in gallery]
        lang = self._checked_language(items)
        image = self.images(params, gallery)
        truth, self.left_out = _truth(items, PROMPTS[lang], self._fewest)
        margins = {q: self._margins(params, image, q, lang, list(truth[q])) for q in truth}
        scores = {f"accuracy_{q}": _accuracy(margins[q], truth[q]) for q in truth if q != "organ"}
        texts = {"side": [[x["reference"]] for x in items]}
        if self._sentences is not None:
            texts["side_sentences"] = [self._chosen(i) for i in gallery]
        for name, of_images in texts.items():
            side = self._sides(params, image, of_images)
            if np.isnan(side).all():
                self.left_out[name] = "no text names exactly one side"
            else:
                scores[name] = side
        if jax.process_index() == 0:
            for question, why in self.left_out.items():
                print(f"{self.name}: no score of {question}, {why}")
        enough = {q: [v for v in truth[q] if _enough(truth[q][v], self._fewest)] for q in truth}
        records = []
        for n, i in enumerate(gallery):
            own = {q: {v: (margins[q][v][n], truth[q][v][n]) for v in truth[q]} for q in truth}
            each = {k: None if np.isnan(x[n]) else float(x[n]) for k, x in scores.items()}
            kept = {q: {v: x for v, x in own[q].items() if v in enough[q]} for q in own}
            records.append(self.record(i, n, **_said(items[n], own, each, lang), scores=each,
                                       margins=kept))  # fmt: skip
        self.finish(records)
        yield from _figures(records, truth).items()
        yield "n", len(gallery)

    @classmethod
    def groups(cls, records: Sequence[Record]) -> dict[str, list[Record]]:
        """Returns samples to show: with the wrong and with the right side, and random ones."""
        return sample_files.choose(records, "side")

    @classmethod
    def resampled(
        cls, records: Sequence[Record], clusters: Sequence[Hashable], resamples: int, seed: int
    ) -> dict[str, Interval]:
        """Returns the intervals of the AUROCs, of at most 1,000 resamples."""
        found = {}
        for question, columns in _columns(records).items():
            drawn = [
                np.nanmean(
                    [resampled.auroc(x, y, counts[:, at]) for at, x, y in columns.values()], axis=0
                )
                for counts in resampled.draws(clusters, min(resamples, _RESAMPLES), seed)
            ]
            low, high = np.nanpercentile(np.concatenate(drawn), (2.5, 97.5))
            at = sorted({int(i) for at, *_ in columns.values() for i in at})
            found[f"auroc_{question}"] = Interval(
                mean=float(np.mean([calibration.auroc(x, y) for _, x, y in columns.values()])),
                low=float(low),
                high=float(high),
                n=len(at),
                clusters=len({clusters[i] for i in at}),
            )
        return found

    def _checked_language(self, items: Sequence[Item]) -> str:
        # The language of all texts.
        langs = {x["meta"]["lang"] for x in items}
        if len(langs) != 1 or not langs <= set(PROMPTS):
            raise ValueError(
                f"config.evals.{self.name}: prompts are in {' or '.join(PROMPTS)}, and the texts "
                f"are in {', '.join(sorted(map(repr, langs)))}: set one `lang` in `expand`"
            )
        return langs.pop()

    def _margins(
        self,
        params: Mapping[str, Any],
        image: embedded.Embeddings,
        question: str,
        lang: str,
        values: Sequence[str],
    ) -> dict[str, Float[np.ndarray, " images"]]:
        # The margins of an organ are over the prompts that deny it, those of other values over the
        # most similar other value.
        if question == "organ":
            names = [classes.by_name(v).names(lang)[0] for v in values]
            sides = [[[p.format(name) for p in part] for name in names] for part in ORGANS[lang]]
            shown, missing = (
                embedded.similarity(image, self._prompted(params, side)) for side in sides
            )
            found = shown - missing
        else:
            prompts = self._prompted(params, [PROMPTS[lang][question][v] for v in values])
            close = embedded.similarity(image, prompts)
            others = [np.delete(close, k, axis=1).max(axis=1) for k in range(len(values))]
            found = close - np.stack(others, axis=1)
        return dict(zip(values, np.round(found, 6).T, strict=True))

    def _prompted(
        self, params: Mapping[str, Any], prompts: Sequence[Sequence[str]]
    ) -> embedded.Embeddings:
        # For each list of prompts their mean embedding, scaled to length 1.
        rows = [self._row(p) for several in prompts for p in several]
        each = np.split(self.texts(params, rows), np.cumsum([len(x) for x in prompts])[:-1])
        means = np.stack([x.mean(axis=0) for x in each])
        return means / (np.linalg.norm(means, axis=1, keepdims=True) + 1e-8)

    def _row(self, text: str) -> Int[np.ndarray, " length"]:
        row = np.full_like(self.data[0]["text"], self._tokenizer.caption_pad_id)
        ids, _ = ops_caption.tokens(self._tokenizer, text, len(row))
        row[: len(ids)] = ids
        return row

    def _sides(
        self,
        params: Mapping[str, Any],
        image: embedded.Embeddings,
        texts: Sequence[Sequence[str]],
    ) -> Float[np.ndarray, " images"]:
        # For the texts of each image the mean of 1 if the text is nearer to the image than the
        # exchanged text, 1/2 if it is as near, else 0. Only texts that name exactly one side count;
        # NaN if an image has none.
        owners, rows = [], []
        for n, several in enumerate(texts):
            for text in several:
                other = exchanged_sides.of_one_side(text)
                if not other:
                    continue
                pair = [self._row(text), self._row(other)]
                # A text that is cut before its side has the same row as the exchanged one.
                if (pair[0] != pair[1]).any():
                    owners.append(n)
                    rows += pair
        found = np.full(len(texts), np.nan)
        if owners:
            pairs = self.texts(params, rows).reshape(len(owners), 2, -1).astype(np.float64)
            close = np.round(np.einsum("nd,nsd->ns", image[owners], pairs), 6)
            wins = (np.sign(close[:, 0] - close[:, 1]) + 1) / 2
            counts = np.bincount(owners, minlength=len(texts))
            sums = np.bincount(owners, wins, minlength=len(texts))
            found[counts > 0] = (sums / np.maximum(counts, 1))[counts > 0]
        return found

    def _chosen(self, index: int) -> list[str]:
        sentences = [str(t.get("sentence", "")) for t in self.data.texts(index)]
        return [s for s in sentences if self._sentences.search(s)]


def _truth(
    items: Sequence[Item], prompts: Mapping[str, Mapping[str, Any]], fewest: int
) -> tuple[Table, dict[str, str]]:
    """Returns the truth of all questions that the images can answer, and why not of the others."""
    truth: Table = {}
    left_out = {}
    shown = [x["shown"] for x in items]
    organs = {
        classes.by_id(c).name: np.array(
            [
                np.nan if s is None or c in x["unsure"] - s else float(c in s)
                for s, x in zip(shown, items, strict=True)
            ]
        )
        for c in sorted(set().union(*filter(None, shown)))
    }
    truth["organ"] = {v: x for v, x in organs.items() if _enough(x, fewest)}
    if not truth["organ"]:
        del truth["organ"]
        left_out["organ"] = (
            "no image has a label map or boxes"
            if all(s is None for s in shown)
            else f"no class is shown by at least {fewest} images and missing in at least {fewest}"
        )
    for question, known in prompts.items():
        said = np.array([x["meta"][question] for x in items])
        values = [v for v in known if (said == v).any()]
        if len(values) < 2:
            there = f"all images that say it are {values[0]}" if values else "no image says it"
            left_out[question] = f"{there}, and there must be two of {', '.join(known)}"
            continue
        truth[question] = {
            v: np.where(np.isin(said, values), (said == v).astype(float), np.nan) for v in values
        }
        if not any(_enough(x, fewest) for x in truth[question].values()):
            left_out[f"{question} (AUROC)"] = (
                f"no value is that of at least {fewest} images and not that of at least {fewest}"
            )
    return truth, left_out


def _enough(outcomes: Float[np.ndarray, " images"], fewest: int) -> bool:
    return min((outcomes == 1).sum(), (outcomes == 0).sum()) >= fewest


def _accuracy(
    margins: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]
) -> Float[np.ndarray, " images"]:
    # The probability that the right value is chosen, where equal ones are chosen at random; NaN
    # where the truth is not known.
    table = np.stack([margins[v] for v in truth], axis=1)
    right = np.stack([truth[v] for v in truth], axis=1)
    best = table >= 0  # The margin of the most similar value is over the second one.
    share = (best * np.nan_to_num(right)).sum(axis=1) / best.sum(axis=1)
    return np.where(np.isnan(right[:, 0]), np.nan, share)


def _said(
    item: Item,
    own: Mapping[str, Mapping[str, tuple[float, float]]],
    scores: Mapping[str, float | None],
    lang: str,
) -> dict[str, str]:
    """Returns the texts of a record: the image's text, what is true, and what the model says.

    The model names as many organs as the image shows, the likeliest ones.
    """
    true, says = [], []
    for question in PROMPTS[lang]:
        values = own.get(question, {})
        if any(outcome == 1 for _, outcome in values.values()):
            true += [v for v, (_, outcome) in values.items() if outcome == 1]
            says.append(max(values, key=lambda v: values[v][0]))
    organs = own.get("organ", {})
    shown = [v for v, (_, outcome) in organs.items() if outcome == 1]
    likeliest = sorted(organs, key=lambda v: -organs[v][0])[: len(shown)]
    true, says = ([", ".join(x)] if x else [] for x in (true, says))
    for part, names in ((true, shown), (says, likeliest)):
        if names:
            part.append(", ".join(classes.by_name(v).names(lang)[0] for v in names))
    side = scores.get("side")
    if side is not None:
        true.append("side as in the text")
        says.append({1.0: true[-1], 0.0: "side exchanged"}.get(side, "side undecided"))
    return {
        "prompt": item["reference"],
        "reference": "; ".join(true),
        "prediction": "; ".join(says),
    }


def _columns(
    records: Sequence[Record],
) -> dict[str, dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """Returns question -> value -> (indices of records, margins, outcomes), for known outcomes."""
    found: dict[str, dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}
    for question in _QUESTIONS:
        for value in records[0]["margins"].get(question, ()) if records else ():
            pairs = [r["margins"][question][value] for r in records]
            at = np.array([i for i, (_, y) in enumerate(pairs) if y is not None and y == y])
            x, y = np.array([pairs[i] for i in at], float).T
            found.setdefault(question, {})[value] = (at, x, y)
    return found


def _figures(records: Sequence[Record], truth: Table) -> dict[str, float]:
    found: dict[str, float] = {}
    for question, columns in _columns(records).items():
        each = {v: calibration.auroc(x, y) for v, (_, x, y) in columns.items()}
        found[f"auroc_{question}"] = float(np.mean(list(each.values())))
        if question == "organ":
            found |= {f"auroc_organ_{v}": x for v, x in each.items()} | {"n_organ": len(each)}
    for name in records[0]["scores"]:
        values = [r["scores"][name] for r in records if r["scores"][name] is not None]
        found[name] = float(np.mean(values))
        question = name.removeprefix("accuracy_")
        found[f"n_{question}"] = len(values)
        if question != name:
            found[f"chance_{question}"] = max(
                float(np.nanmean(x)) for x in truth[question].values()
            )
    return found
