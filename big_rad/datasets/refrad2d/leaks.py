"""Reads the sentences of all splits, and leaves out images that would be in two splits.

An image or a patient that is in two splits is an error: the image stays in the split that comes
first in `KEPT_FIRST`. A sentence that is in two splits with different images is not a leak, because
normal findings are worded alike everywhere; such sentences are kept and counted, as the published
loaders keep them.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from big_rad.datasets.records import Problem
from big_rad.datasets.refrad2d.source import (
    MODALITIES,
    SPLITS,
    JsonError,
    Places,
    Sentence,
    read_split,
)
from big_rad.grounding.unicode import nfc

# If an image, a patient or a sentence has to leave a split, it stays in the first one here.
KEPT_FIRST = ("test", "validation", "train")
# One message for each split, so that the build counts these warnings instead of listing them.
REPEATED = (
    "the same sentence is in the split {split}; it is kept in both "
    "(--drop_repeated_sentences leaves it out here)"
)

Key = tuple[str, str]  # (split, modality)


@dataclasses.dataclass
class Read:
    """The sentences and problems of the split JSONs.

    Attributes:
        sentences: {(split, modality): sentences}.
        problems: {(split, modality): problems of its file}.
    """

    sentences: dict[Key, list[Sentence]]
    problems: dict[Key, list[Problem]]

    def ids(self) -> set[str]:
        """Returns the ids of all images."""
        return {i for some in self.sentences.values() for s in some for i in s.ids}


def read_splits(places: Places, modalities: Sequence[str]) -> tuple[Read, list[Problem]]:
    """Reads all split JSONs; also returns the problems of files that cannot be read."""
    read, unreadable = Read({}, {}), []
    for split in SPLITS:
        for modality in modalities:
            key = (split, modality)
            try:
                read.sentences[key], read.problems[key] = read_split(places, *key)
            except JsonError as e:
                read.sentences[key], read.problems[key] = [], []
                unreadable.append(e.problem)
    return read, unreadable


def leave_out(
    places: Places,
    read: Read,
    patients: Mapping[str, str],
    *,
    drop_repeated: bool = False,
    limit: int = 0,
) -> None:
    """Removes images that another split also has, and adds the problems.

    Args:
        places: the places of the files, for messages.
        read: the sentences, which are changed.
        patients: {id of an image: pseudonym of its patient}. An image that is missing here, or has
            "", is compared by its id only.
        drop_repeated: whether a sentence that another split also has is left out with its images.
        limit: the number of sentences of each split and modality that are kept; 0 keeps all.
    """
    homes: dict[str, Key] = {}  # image id: where it stays
    people: dict[str, Key] = {}  # patient: where all of its images stay
    said: dict[str, list[Key]] = {}  # sentence: where it is
    for key in ((s, m) for s in KEPT_FIRST for m in MODALITIES if (s, m) in read.sentences):
        name, problems, kept = places.name(places.split(*key)), read.problems[key], []
        for sentence in read.sentences[key]:
            lost = _repeated(places, key, sentence, said, drop_repeated)
            problems += lost
            if any(p.level == "error" for p in lost):
                continue
            fresh = []
            for i in sentence.ids:
                if message := _elsewhere(places, key, i, patients.get(i, ""), homes, people):
                    problems.append(Problem(name, sentence.line, "ids", message))
                else:
                    fresh.append(i)
            if fresh:
                kept.append(dataclasses.replace(sentence, ids=tuple(fresh)))
        read.sentences[key] = kept
    if limit:
        read.sentences = {k: some[:limit] for k, some in read.sentences.items()}


def _repeated(
    places: Places, key: Key, sentence: Sentence, said: dict[str, list[Key]], drop: bool
) -> list[Problem]:
    """Returns the problem of a sentence that another split also has; [] if none has it."""
    before = said.setdefault(nfc(sentence.text), [])
    others = [o for o in before if o[0] != key[0]]
    before.append(key)
    if not others:
        return []
    name, lost = places.name(places.split(*key)), len(sentence.ids)
    if not drop:
        message = REPEATED.format(split=others[0][0])
        return [Problem(name, sentence.line, "", message, "warning", lost)]
    same = [o for o in others if o[1] == key[1]]
    where = places.name(places.split(*(same or others)[0]))
    message = f"the same sentence is in {where}" + ("; it stays there" if same else "")
    return [Problem(name, sentence.line, "", message, "error" if same else "warning", lost)]


def _elsewhere(
    places: Places,
    key: Key,
    image: str,
    patient: str,
    homes: dict[str, Key],
    people: dict[str, Key],
) -> str:
    """Returns why an image cannot stay in a split; "" if it stays, which is then noted."""
    home = homes.get(image, key)
    if home[0] != key[0]:
        return f"{image} is also in {places.name(places.split(*home))}; it stays there"
    if patient:
        home = people.setdefault(patient, key)
        if home[0] != key[0]:
            where = places.name(places.split(*home))
            return f"the patient of {image} also has images in {where}, and stays there"
    homes[image] = key
    return ""
