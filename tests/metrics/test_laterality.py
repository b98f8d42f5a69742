import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from big_rad.grounding import classes
from big_rad.grounding import codec as codec_lib
from big_rad.grounding.markup import Mention, render
from big_rad.metrics import laterality

CODEC = codec_lib.get_codec("radgrounder")
LEFT, RIGHT = classes.by_name("kidney_left"), classes.by_name("kidney_right")
# The patient's left is on the right of the image.
ON = {"left": (0.6, 0.4, 0.8, 0.6), "right": (0.2, 0.4, 0.4, 0.6), None: (0.45, 0.4, 0.6, 0.6)}


def report(side, box=None, lang="en", organ="kidney"):
    phrase, known = {
        "en": (f"{side} {organ}", f"{organ}_{side}"),
        "de": ({"left": "linke", "right": "rechte"}[side] + " Niere", f"kidney_{side}"),
    }[lang]
    mention = Mention(phrase, classes.by_name(known).id, ON[box or side])
    return render(f"Cyst of the {phrase}.", [mention], "boxes", CODEC)


def errors(pred, ref, plane="axial"):
    return laterality.errors([pred], [ref], CODEC, [plane])


def shares(found):
    return [found[s] for s in laterality.SCORES]


@pytest.mark.parametrize("lang", ["en", "de"])
@pytest.mark.parametrize("side, other", [("left", "right"), ("right", "left")])
def test_the_other_side_is_an_error_of_the_entity_the_box_and_the_text(side, other, lang):
    right = errors(report(side, lang=lang), report(side, lang=lang))
    assert shares(right) == [0, 0, 0] and right["n_entity"] == right["n_box"] == 1
    # The word and the class are wrong, but the box is where the reference has it.
    wrong = errors(report(other, box=side, lang=lang), report(side, lang=lang))
    assert shares(wrong) == [1, 1, 1]
    assert wrong["per_class"] == {"kidney": {"n": 1, "errors": 1}}
    # The word and the box agree with each other, but not with the reference.
    moved = errors(report(other, lang=lang), report(side, lang=lang))
    assert shares(moved) == [1, 0, 1]


def test_languages_are_compared_with_each_other():
    assert shares(errors(report("left"), report("left", lang="de"))) == [0, 0, 0]
    assert shares(errors(report("right"), report("left", lang="de")))[2] == 1


def test_what_could_not_be_wrong_is_not_counted():
    spleen = render("Large spleen.", [Mention("spleen", 1, ON["left"])], "boxes", CODEC)
    none = errors(spleen, report("left"))
    assert none["n_entity"] == none["n_box"] == none["n_text"] == 0
    assert all(map(math.isnan, shares(none)))
    assert none["per_sample"] == [dict(entity=None, box=None, text=None)]
    lung = report("left", organ="lung")
    assert errors(lung, report("right"))["n_entity"] == 0  # The reference has no lung.
    assert errors(report("left"), report("left"), "sagittal")["n_box"] == 0
    assert errors(report("left"), report("left"), "")["n_box"] == 0


def test_a_box_in_the_middle_has_no_side():
    middle = render(
        "Cyst of the left kidney.",
        [Mention("left kidney", LEFT.id, ON[None])],
        "boxes",
        CODEC,
    )
    assert errors(middle, report("left"))["n_box"] == 0


@pytest.mark.parametrize(
    "pred, ref, wrong",
    [
        ("Cyst of the left kidney.", "Cyst of the right kidney.", True),
        ("Cyst of the left kidney.", "Cysts of both kidneys.", False),
        ("Linke Niere unauffällig.", "Normal right kidney.", True),
        ("Pleural effusion on the left.", "Right pleural effusion.", True),
        ("Pleuraerguss links.", "Linksseitiger Pleuraerguss.", False),
        ("Pleuraerguss re.", "Linksseitiger Pleuraerguss.", True),
        ("Left effusion.", "Effusions left and right.", None),
        ("Rechteckige Verdichtung.", "Verdichtung links.", None),
        # More words for a side, and uses of "left" and "right" that are not sides.
        ("Left-sided effusion.", "Right-sided effusion.", True),
        ("Left-sided effusion.", "Effusion on the left.", False),
        ("Leftsided effusion.", "Rechtsseitiger Erguss.", True),
        ("Linksbasal Verdichtung.", "Verdichtung rechts.", True),
        ("Rechtshilär Verdichtung.", "Verdichtung rechts.", False),
        ("Links-apikale Verdichtung.", "Rechtsapikale Verdichtung.", True),
        ("Rechtsbetonte Ergüsse.", "Linksbetonte Ergüsse.", True),
        ("Rechtsführende Ergüsse.", "Right-predominant effusions.", False),
        ("Erguss li", "Erguss re", True),
        ("Erguss li", "Left effusion.", False),
        ("Li Erguss, kein Pneumothorax.", "Erguss rechterseits.", True),
        ("Lt effusion.", "Right effusion.", True),
        ("Linkskonvexe Skoliose.", "Rechtskonvexe Skoliose.", True),
        ("No residual fluid left.", "Right effusion.", None),
        ("There is no fluid left in the pleural space.", "Right effusion.", None),
        ("The drain was left in place.", "Right effusion.", None),
        ("Little contrast was left over.", "Right effusion.", None),
        ("Nodule right above the diaphragm.", "Left effusion.", None),
        ("No effusion on the left.", "Right effusion.", True),
        ("Recht großer Erguss.", "Erguss links.", None),
        ("Rechtsherzbelastung.", "Erguss links.", None),
        ("Re-Operation nach CT.", "Erguss links.", None),
        # The organ has the side that its clause names.
        ("Consolidation in the right upper and lower lobes.", "Left lower lobe normal.", True),
        ("Rechts im Unterlappen ein Rundherd.", "Rundherd im linken Unterlappen.", True),
        ("Links im Unterlappen ein Rundherd.", "Nodule in the left lower lobe.", False),
        ("No finding.", "Left effusion.", None),
        # There are two organs, and one of them is on the wrong side.
        ("Right kidney normal, left lung clear.", "Right kidney normal, right lung clear.", True),
    ],
)
def test_sides_of_texts(pred, ref, wrong):
    found = laterality.errors([pred], [ref], CODEC)
    assert found["per_sample"][0]["text"] == (None if wrong is None else float(wrong))


def test_every_paired_class_has_a_partner_with_the_same_organ():
    paired = {c.id: laterality.side_of(c.id) for c in classes.CLASSES}
    by_organ = {}
    for found in paired.values():
        if found:
            by_organ.setdefault(found[0], set()).add(found[1])
    assert len(by_organ) > 20 and all(x == {"left", "right"} for x in by_organ.values())
    assert paired[classes.by_name("liver").id] is None
    assert paired[classes.by_name("rib_left_3").id] == ("rib_3", "left")


@given(st.lists(st.tuples(st.sampled_from(["left", "right"]), st.booleans()), min_size=1))
def test_a_mirrored_set_has_the_opposite_errors(cases):
    refs = [report(side) for side, _ in cases]
    other = {"left": "right", "right": "left"}
    preds = [report(other[side] if wrong else side) for side, wrong in cases]
    mirrored = [report(side if wrong else other[side]) for side, wrong in cases]
    share = sum(wrong for _, wrong in cases) / len(cases)
    for texts, want in ((preds, share), (mirrored, 1 - share)):
        found = laterality.errors(texts, refs, CODEC, ["axial"] * len(cases))
        assert found["entity"] == found["text"] == pytest.approx(want)
        assert found["box"] == 0


def test_what_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match="1 predictions, 0 references"):
        laterality.errors(["x"], [], CODEC)
    with pytest.raises(ValueError, match="codec"):
        laterality.errors(["x"], ["x"])


def marked(text, phrase, class_id, side):
    return render(text, [Mention(phrase, class_id, ON[side])], "boxes", CODEC)


def test_a_plural_is_marked_once_and_stands_for_both_sides():
    both = marked("Both kidneys are small.", "Both kidneys", RIGHT.id, "right")
    for one in (report("left"), report("right")):
        assert errors(one, both)["entity"] == errors(both, one)["entity"] == 0
    assert errors(both, both)["n_entity"] == 1 and errors(both, both)["n_box"] == 0
    # A singular phrase for one organ of a pair has one side, even if the phrase does not name it.
    text = "On the right, the kidney is small."
    wrong = errors(marked(text, "kidney", RIGHT.id, "right"), report("left"))
    assert shares(wrong) == [1, 0, 1]


def test_with_masks_the_text_around_a_phrase_tells_its_side():
    mask = "Rechts im <seg>Unterlappen</seg> ein Herd."
    other = mask.replace("Rechts", "Links")
    assert errors(mask, mask)["entity"] == 0 and errors(mask, mask)["n_entity"] == 1
    assert errors(other, mask)["entity"] == 1
