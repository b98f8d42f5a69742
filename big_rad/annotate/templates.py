"""Writes template sentences about slices from the label map alone, in English and in German.

    wanted(stack, volume_id, line=2, count=8, options)
    -> "The liver and the left kidney are visible in this slice."
       "Die Leber und die linke Niere sind in dieser Schicht zu sehen."

They teach where the anatomy is, if a volume has no report. A sentence says that structures are
shown, and nothing about findings. Both languages name the same classes, and `mentions.find` reads
exactly these out of both sentences. The indication asks for the same structures, because no model
could foresee which of the many structures of a slice a sentence names.

A volume's slices are spread over each plane. A sentence names structures that the volume's earlier
sentences named least often, so that small and rare ones have their turn. All draws depend on the
volume and the options only.
"""

import collections
import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.ndimage
from jaxtyping import UInt8

from big_rad.annotate import match, question_terms, template_table
from big_rad.annotate.question_drafts import Draw
from big_rad.annotate.segment import harmonised
from big_rad.annotate.sentences import Sentence, classes_of
from big_rad.annotate.slices import Stack, without_specks
from big_rad.datasets.phantom.words import lexicon
from big_rad.grounding import classes, mentions, phrase

LANGS = ("en", "de")
SECTION = "template"
_MOST = 4  # The most structures in a sentence.
_THE = {"nom": {"m": "der", "f": "die", "n": "das", "p": "die"}}
_THE["acc"] = _THE["nom"] | {"m": "den"}
_A = {"nom": {"m": "ein", "f": "eine", "n": "ein"}, "acc": {"m": "einen", "f": "eine", "n": "ein"}}
_STRONG = {"m": "er", "f": "e", "n": "es", "p": "e"}
_SIDES = {"left": "link", "right": "recht"}


@dataclasses.dataclass(frozen=True)
class Name:
    """The name of one class, or of both classes of a pair, in both languages.

    Attributes:
        en: the English name without an article.
        adjective: the stem of the German adjective, such as "link", or "".
        noun: the German noun.
        gender: its gender "m", "f" or "n", or "p" for a plural.
        plural: whether the English name is a plural.
        article: "the" for a definite article, "a" for an indefinite one, or "".
    """

    en: str
    adjective: str
    noun: str
    gender: str
    plural: bool = False
    article: str = "the"

    def said(self, lang: str, case: str = "nom") -> str:
        """Returns the name with its article; the case "bare" leaves the article out."""
        if lang == "en":
            article = "an" if self.article == "a" and self.en[0] in "aeiou" else self.article
            return self.en if case == "bare" or not article else f"{article} {self.en}"
        strong = f"{self.adjective}{_STRONG[self.gender]} " if self.adjective else ""
        if case == "bare" or not self.article:
            return strong + self.noun
        articles = _THE if self.article == "the" else _A
        en = self.gender == "p" or (case == "acc" and self.gender == "m")
        weak = f"{self.adjective}{'en' if en else 'e'} " if self.adjective else ""
        return f"{articles[case][self.gender]} {weak}{self.noun}"


@dataclasses.dataclass(frozen=True)
class Structure:
    """What a sentence names at one place: a class, or both classes of a pair.

    Attributes:
        ids: the class ids.
        names: the names that it may have.
    """

    ids: tuple[int, ...]
    names: tuple[Name, ...]


def wanted(
    stack: Stack, volume_id: str, line: int, count: int, options: match.Options
) -> list[match.Wanted]:
    """Returns template sentences for some slices of a volume.

    Args:
        stack: the volume with its label map.
        volume_id: the pseudonym of the volume, which decides all draws.
        line: the line of the manifest.
        count: the number of slices. They are shared out among the planes of the options. There are
            fewer if the volume has not as many slices that show a structure.
        options: the planes, the least area of a component, and whether parts show the whole.

    Returns:
        For each slice an English and a German sentence.
    """
    key = f"{volume_id} {dataclasses.astuple(options)}"
    modality = str(stack.stored.about["modality"])
    named: collections.Counter[int] = collections.Counter()
    out: list[match.Wanted] = []
    for plane, index in _slices(stack, count, options, Draw(0, key)):
        draw = Draw(0, f"{key} {plane} {index}")
        cut = stack.cut(plane, index)
        segmap = without_specks(cut.segmap, cut.spacing, options.min_area_mm2)
        chosen = _chosen(segmap, options, named, draw)
        asked = draw.number("asked") % len(template_table.INDICATIONS)
        kept, form = _readable(chosen, plane, modality, asked, draw)
        if not kept:
            continue
        named.update(class_id for ids, _ in kept for class_id in ids)
        names = [name for _, name in kept]
        number = len(out) // len(LANGS) + 1
        for lang in LANGS:
            text = written(names, lang, form, plane, modality)
            sentence = Sentence(text, SECTION, number, tuple(mentions.find(text, lang)))
            out.append(
                match.Wanted(
                    line, lang, sentence, indication=question(names, lang, asked),
                    slices=((plane, index),), link="template",
                )
            )  # fmt: skip
    return out


def read_back(text: str, lang: str) -> set[int] | None:
    """Returns the classes that a sentence names; None if it seems to deny something."""
    found = mentions.find(text, lang)
    if any(m.negated or m.absent for m in found):
        return None
    return {c for m in found for c in classes_of(m)}


def written(names: Sequence[Name], lang: str, form: int, plane: str, modality: str) -> str:
    """Returns a sentence.

    Args:
        names: the names of the structures, in their order.
        lang: "en" or "de".
        form: the number of the wording in `template_table.SENTENCES`.
        plane: "axial", "coronal" or "sagittal".
        modality: "CT" or "MR".
    """
    words = template_table.WORDS[lang]
    plane_word = words["plane"][plane]
    return template_table.SENTENCES[form][LANGS.index(lang)].format(
        plane=plane_word, Plane=plane_word.capitalize(), modality=words["modality"][modality],
        **_slots(names, lang),
    )  # fmt: skip


def question(names: Sequence[Name], lang: str, form: int) -> str:
    """Returns the question that asks for structures, see `template_table.INDICATIONS`."""
    return template_table.INDICATIONS[form][LANGS.index(lang)].format(**_slots(names, lang))


@functools.cache
def structure(class_id: int, several: bool = False) -> Structure | None:
    """Returns a class as a structure; None if no template names it.

    Args:
        class_id: the class id.
        several: whether a slice shows several of the kind, such as intervertebral discs.
    """
    name = classes.by_id(class_id).name
    if name in template_table.NOT_NAMED:
        return None
    if name in template_table.SEVERAL:
        (en, noun, gender), (many_en, many_noun) = template_table.SEVERAL[name]
        one = Name(en, "", noun, gender, article="a")
        many = Name(many_en, "", many_noun, "p", plural=True, article="")
        return Structure((class_id,), (many if several else one,))
    if name in template_table.SINGLE:
        names = [Name(en, "", noun, gender) for en, noun, gender in template_table.SINGLE[name]]
        return Structure((class_id,), tuple(names))
    stem, _, side = name.rpartition("_")
    if stem in template_table.PAIRS:
        en, _, nouns = template_table.PAIRS[stem]
        names = [Name(f"{side} {en}", _SIDES[side], noun, gender) for noun, gender, _ in nouns]
        return Structure((class_id,), tuple(names))
    if name.startswith("vertebrae_"):
        return Structure((class_id,), _vertebra(class_id))
    if name.startswith("rib_"):
        return Structure((class_id,), _rib(class_id))
    organs = [question_terms.organ(class_id)]
    if class_id in lexicon.SPOKEN:
        organs = [lexicon.organ(class_id, k) for k in range(lexicon.variants(class_id))]
    return Structure((class_id,), tuple(Name(o.en, o.adjective, o.noun, o.gender) for o in organs))


@functools.cache
def both(class_id: int) -> Structure | None:
    """Returns a class with its mirror image as one structure ("both kidneys"), or None."""
    stem = classes.by_id(class_id).name.rpartition("_")[0]
    other = phrase.mirrored(class_id)
    if other is None or stem not in template_table.PAIRS:
        return None
    _, en, nouns = template_table.PAIRS[stem]
    names = [Name(f"both {en}", "beid", many, "p", True, "") for _, _, many in nouns if en and many]
    return Structure(tuple(sorted((class_id, other))), tuple(names)) if names else None


def _vertebra(class_id: int) -> tuple[Name, ...]:
    c = classes.by_id(class_id)
    code = c.name.removeprefix("vertebrae_")
    short = {"S": "SWK", "L": "LWK", "T": "BWK", "C": "HWK"}[code[0]]
    names = [Name(c.en, "", f"{short} {code[1:]}", "m"), Name(c.en, "", c.de, "m")]
    if code == "C1":
        names.append(Name("atlas", "", "Atlas", "m"))
    return tuple(names)


def _rib(class_id: int) -> tuple[Name, ...]:
    c = classes.by_id(class_id)
    _, side, number = c.name.split("_")
    ordinal = c.synonyms_en[0].split()[0]
    figure = number + {"1": "st", "2": "nd", "3": "rd"}.get(number, "th")
    return (
        Name(f"{side} {ordinal} rib", "", c.de, "f"),
        Name(f"{side} {figure} rib", _SIDES[side], f"{number}. Rippe", "f"),
    )


def _slices(stack: Stack, count: int, options: match.Options, draw: Draw) -> list[tuple[str, int]]:
    """Returns slices that show a structure, spread over the planes and over the stack."""
    unnamed = [classes.by_name(name).id for name in template_table.NOT_NAMED]
    found = []
    for number, plane in enumerate(options.planes):
        share = count // len(options.planes) + (number < count % len(options.planes))
        areas = stack.areas(plane).copy()
        areas[:, [0, *unnamed]] = 0
        shown = np.flatnonzero((areas >= max(options.min_area_mm2, 1e-9)).any(axis=1))
        parts = np.array_split(shown, min(share, len(shown))) if share and len(shown) else []
        for k, part in enumerate(parts):
            found.append((plane, int(part[draw.number("slice", plane, k) % len(part)])))
    return found


def _chosen(
    segmap: UInt8[np.ndarray, "height width"],
    options: match.Options,
    named: Mapping[int, int],
    draw: Draw,
) -> list[tuple[tuple[int, ...], Name]]:
    """Returns the class ids and the name of each structure of a sentence, the largest first.

    Args:
        segmap: the label map of the slice, without specks.
        options: whether parts show the whole.
        named: {class id: how often earlier sentences about the volume name it}.
        draw: the draws for this slice.
    """
    areas = _areas(segmap, options.rollup)
    most = 1 + draw.number("count") % _MOST
    found: list[Structure] = []
    taken: set[int] = set()
    for class_id in sorted(areas, key=lambda c: (named.get(c, 0), draw.number("class", c))):
        one = structure(class_id, _several(segmap, class_id))
        pair = both(class_id)
        if pair and areas.keys() >= set(pair.ids) and draw.number("both", class_id) % 2:
            one = pair
        # "The left lung and its upper lobe" would name the lobe twice.
        if one is None or any(taken & question_terms.related(i) for i in one.ids):
            continue
        found.append(one)
        taken |= set(one.ids)
        if len(found) == most:
            break
    found.sort(key=lambda s: (-sum(areas[i] for i in s.ids), s.ids))
    # One number for all, so that two ribs or two vertebrae are named in the same way.
    variant = draw.number("name")
    return [(s.ids, s.names[variant % len(s.names)]) for s in found]


def _readable(
    chosen: Sequence[tuple[tuple[int, ...], Name]],
    plane: str,
    modality: str,
    asked: int,
    draw: Draw,
) -> tuple[Sequence[tuple[tuple[int, ...], Name]], int]:
    """Returns the structures and the wording of a sentence that is read back as it is meant.

    Some neighbours in a list can be misread: "LWK 1 und 9. Rippe" looks like a range. Another
    wording helps, or else one structure less.
    """
    forms = len(template_table.SENTENCES)
    first = draw.number("form") % forms
    for count in range(len(chosen), 0, -1):
        names = [name for _, name in chosen[:count]]
        meant = {i for ids, _ in chosen[:count] for i in ids}
        if any(read_back(question(names, lang, asked), lang) != meant for lang in LANGS):
            continue
        for k in range(forms):
            form = (first + k) % forms
            texts = [(written(names, lang, form, plane, modality), lang) for lang in LANGS]
            if all(read_back(text, lang) == meant for text, lang in texts):
                return chosen[:count], form
    return (), 0


def _areas(segmap: UInt8[np.ndarray, "height width"], rollup: bool) -> dict[int, int]:
    """Returns the number of pixels of each class that a label map shows."""
    counts = np.bincount(segmap.ravel(), minlength=classes.NUM_CLASSES + 1)
    found = {int(c): int(counts[c]) for c in np.flatnonzero(counts) if c}
    for whole, parts in harmonised.ROLLUP.items() if rollup else ():
        area = sum(int(counts[i]) for i in (whole, *parts))
        if area:
            found[whole] = area
    return found


def _several(segmap: UInt8[np.ndarray, "height width"], class_id: int) -> bool:
    """Returns whether a label map shows several structures of a class that has several."""
    if classes.by_id(class_id).name not in template_table.SEVERAL:
        return False
    return scipy.ndimage.label(segmap == class_id, np.ones((3, 3)))[1] > 1


def _slots(names: Sequence[Name], lang: str) -> dict[str, str]:
    """Returns the words that a wording needs beside plane and modality."""
    words = template_table.WORDS[lang]

    def joined(case: str) -> str:
        said = [name.said(lang, case) for name in names]
        return words["and"].join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)

    plural = lang == "en" and names[0].plural or lang == "de" and names[0].gender == "p"
    number = len(names) > 1 or plural
    x = joined("nom")
    return {
        "x": x, "X": x[0].upper() + x[1:], "acc": joined("acc"), "bare": joined("bare"),
        "is": words["is"][number], "lies": words["lies"][number],
    }  # fmt: skip
