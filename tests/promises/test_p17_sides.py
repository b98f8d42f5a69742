"""P17: left stays left; the side that a text names is the side that is marked.

These tests go from a report to the target of training, with the organs of both sides in the image.
Single phrases are tested in tests/grounding/test_side_resolution.py, and scores in
tests/metrics/test_laterality.py.
"""

import numpy as np
import pytest

from big_rad.datasets.folder import images, source
from big_rad.datasets.refrad2d import texts as refrad2d
from big_rad.grounding import candidates, classes, codec, exchanged_sides, markup
from big_rad.pp import builder
from tests.helpers import sided

CODEC = codec.get_codec("radgrounder")
SIDED = [c.id for c in classes.CLASSES if candidates.mirrored(c.id)]
WIDTH = 2 * len(SIDED)


def label_map():
    """Returns a label map with all paired classes, in which the patient's left is on the right.

    Organs of the right side have one row less, so that the label map is not its own mirror image.
    """
    segmap = np.zeros((4, WIDTH), np.uint8)
    for n, class_id in enumerate(c for c in SIDED if candidates.side_of_class(c) == "right"):
        segmap[1:, n] = class_id
        segmap[:, WIDTH - 1 - n] = candidates.mirrored(class_id)
    return segmap


def mirrored(segmap):
    """Returns the label map of a patient with left and right exchanged, pixels and classes."""
    other = np.array([candidates.mirrored(c) or c for c in range(len(classes.CLASSES) + 1)])
    return other[segmap[:, ::-1]].astype(np.uint8)


def marked(text, segmap, pp=""):
    """Returns the entities in the target of a text."""
    ops = builder.get_preprocess_fn(f"{pp}prompt(style='none')|ground('boxes')")
    image = np.zeros((*segmap.shape, 3), np.uint8)
    example = {"id": "a", "image": image, "segmap": segmap, "texts": [text]}
    (done,) = ops(example | {"rng": np.random.default_rng(0)})["texts"]
    return markup.parse(done["suffix"], CODEC).entities


def folder_text(sentence, lang, **line):
    """Returns the text of a line of data.jsonl."""
    (text,) = images.texts_of(source.Row(line=1, id="a", report=sentence, language=lang, **line))
    return text


ROWS = [row for name in sided.TABLES for row in sided.table(name)]


@pytest.mark.parametrize("pp", ["", "clean('released')|"])
def test_what_is_marked_is_on_the_side_that_the_text_names(pp):
    segmap, seen = label_map(), 0
    for lang, sentence, names in ROWS:
        named = {classes.by_name(n).id for n in names}
        for entity in marked(folder_text(sentence, lang), segmap, pp):
            assert entity.class_id in named, sentence
            side = "left" if entity.box[0] + entity.box[2] > 1 else "right"
            assert candidates.side_of_class(entity.class_id) in (side, None), sentence
            seen += 1
    assert seen > len(ROWS) / 2


def test_a_mirrored_patient_and_text_give_mirrored_marks():
    segmap = label_map()
    for lang, sentence, _ in sided.table("sides_own"):
        swapped = exchanged_sides.exchanged(sentence)
        if "residual" in sentence or "ittellappen" in sentence:
            continue
        ours = marked(folder_text(sentence, lang), segmap)
        theirs = marked(folder_text(swapped, lang), mirrored(segmap))
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs):
            x1, y1, x2, y2 = a.box
            if len({e.class_id for e in (a, b)}) == 2:
                np.testing.assert_allclose(b.box, (1 - x2, y1, 1 - x1, y2), atol=2 / 512)
                assert candidates.mirrored(a.class_id) == b.class_id


@pytest.mark.parametrize(
    "sentence, lang, wanted",
    [
        (
            *("Consolidation in the right upper and lower lobes.", "en"),
            [("right upper", 12), ("lower lobes", 14)],
        ),
        (
            *("Fracture of the right 7th and 8th ribs.", "en"),
            [("right 7th", 110), ("8th ribs", 111)],
        ),
        ("Rundherd im re. Oberlappen.", "de", [("re. Oberlappen", 12)]),
        ("Abscess of the psoas, right.", "en", [("psoas", 89)]),
        (
            *("Rechts im Unterlappen ein Rundherd, links ist der Unterlappen frei.", "de"),
            [("Unterlappen", 14), ("Unterlappen", 11)],
        ),
        ("Rundherd im Oberlappen.", "de", []),
        ("The psoas is normal.", "en", []),
        # A phrase holds one box, which is the box of the first class that has one.
        ("Both kidneys are normal.", "en", [("Both kidneys", 2)]),
    ],
)
def test_targets_of_reports_with_both_sides_in_the_image(sentence, lang, wanted):
    found = marked(folder_text(sentence, lang), label_map())
    assert [(e.phrase, e.class_id) for e in found] == wanted


SENTENCE = "Rechts im Unterlappen ein Rundherd, links ist der Unterlappen frei."


@pytest.mark.parametrize(
    "keywords, wanted",
    [
        ([["Unterlappen", 14], ["Unterlappen", 11]], [14, 11]),
        ([["Unterlappen", 11], ["Unterlappen", 14]], [11, 14]),
        ([["Unterlappen", 11]], []),
    ],
)
def test_listed_words_are_paired_with_their_places_or_stay_plain_with_a_warning(keywords, wanted):
    found = refrad2d.Findings("file", 7)
    part = {"CleanedSentence": SENTENCE}
    said = refrad2d.texts({"german": part, "english": None}, {"de": keywords}, found)
    for pp in ("", "clean('released')|"):
        assert [e.class_id for e in marked(said[0], label_map(), pp)] == wanted
    warned = [p for p in found.problems if p.message == refrad2d.UNPLACED]
    assert len(warned) == (not wanted)
    assert all((p.level, p.field) == ("warning", "german.CleanedSentence") for p in warned)
    # The keywords in a group's own data.jsonl are treated in the same way.
    row = source.Row(
        line=1, id="a", report=SENTENCE, language="de", keywords=tuple(map(tuple, keywords))
    )
    assert [e.class_id for e in marked(images.texts_of(row)[0], label_map())] == wanted
