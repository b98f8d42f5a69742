import pytest

from big_rad.grounding import markup, placing

BOTH = "Rechts im Unterlappen ein Rundherd, links ist der Unterlappen frei."
FIRST, SECOND = BOTH.index("Unterlappen"), BOTH.rindex("Unterlappen")


@pytest.mark.parametrize(
    "sentence, keywords, placed, left_out",
    [
        # There is one keyword per place, so they are paired in order.
        (
            BOTH, [("Unterlappen", 14), ("Unterlappen", 11)],
            [("Unterlappen", 14, FIRST), ("Unterlappen", 11, SECOND)], [],
        ),
        # The case of the words does not matter.
        (
            BOTH, [("unterlappen", 14), ("UNTERLAPPEN", 11)],
            [("unterlappen", 14, FIRST), ("UNTERLAPPEN", 11, SECOND)], [],
        ),
        # There are fewer or more keywords than places, so the pairs are unknown.
        (BOTH, [("Unterlappen", 11)], [], ["Unterlappen"]),
        (BOTH, [("Unterlappen", 14)] * 2 + [("Unterlappen", 11)], [], ["Unterlappen"]),
        ("Im Unterlappen.", [("Unterlappen", 14), ("Unterlappen", 11)], [], ["Unterlappen"]),
        # A place of a longer keyword is not a place of the shorter one.
        (
            "Rechter Unterlappen, links Unterlappen.",
            [("Rechter Unterlappen", 14), ("Unterlappen", 11)],
            [("Rechter Unterlappen", 14, None), ("Unterlappen", 11, None)], [],
        ),
        # A keyword that has no sides, or that names its side, stands for every place.
        ("Leber, Leber.", [("Leber", 5)], [("Leber", 5, None)], []),
        ("Linke Niere. Linke Niere.", [("linke Niere", 3)], [("linke Niere", 3, None)], []),
        # A plural is listed once per side, and marked once.
        ("Nieren.", [("Nieren", 2), ("Nieren", 3)], [("Nieren", 2, None), ("Nieren", 3, None)], []),
        (
            "Nieren groß, Nieren glatt.", [("Nieren", 2), ("Nieren", 3)],
            [("Nieren", 2, None), ("Nieren", 3, None)], [],
        ),
        (
            "Unterlappen beidseits.", [("Unterlappen", 14), ("Unterlappen", 11)],
            [("Unterlappen", 14, None), ("Unterlappen", 11, None)], [],
        ),
    ],
)  # fmt: skip
def test_equal_words_are_paired_with_their_places(sentence, keywords, placed, left_out):
    assert placing.place(sentence, keywords, "de") == (placed, left_out)


def test_places_are_kept_only_where_words_do_not_tell():
    assert placing.fields("Leber, Milz.", [("Leber", 5, 0), ("Milz", 1, 7)]) == {
        "keywords": [["Leber", 5], ["Milz", 1]]
    }
    both = placing.fields(BOTH, placing.found(BOTH, "de"))
    assert both == {
        "keywords": [["Unterlappen", 14], ["Unterlappen", 11]], "places": [FIRST, SECOND]
    }  # fmt: skip
    # One occurrence of the word has a side, and the other has none.
    text = "Rundherd im Unterlappen rechts. Unterlappen sonst frei."
    text = text.replace("Unterlappen rechts", "rechts basalen Unterlappen")
    fields = placing.fields(text, placing.found(text, "de"))
    assert fields["places"] == [text.index("Unterlappen")]


def test_a_mention_with_a_place_is_marked_there_alone():
    box = (0, 0, 1, 1)
    mentions = [markup.Mention("Unterlappen", 11, box, SECOND)]
    assert [(a, m.class_id) for a, _, m in markup.locate(BOTH, mentions)] == [(SECOND, 11)]
    mentions.append(markup.Mention("Unterlappen", 14, box, FIRST))
    assert [(a, m.class_id) for a, _, m in markup.locate(BOTH, mentions)] == [
        (FIRST, 14), (SECOND, 11)
    ]  # fmt: skip
    assert markup.locate(BOTH, [markup.Mention("Unterlappen", 11, box, 3)]) == []


def test_places_follow_a_sentence_that_is_rewritten():
    old, new = "Niere , 1.2 cm Niere", "Niere, 1. 2 cm Niere."
    assert placing.moved(old, new, ("Niere", "Niere"), 15) == new.rindex("Niere")
    assert placing.moved(old, new, ("Niere", "Niere"), None) is None
    assert placing.moved(old, "Niere.", ("Niere", "Niere"), 15) == -1
