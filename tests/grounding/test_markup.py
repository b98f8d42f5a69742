import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from big_rad.grounding import codec as codec_lib
from big_rad.grounding import markup
from big_rad.grounding.markup import Mention, ProblemKind

CODEC = codec_lib.get_codec("radgrounder")
CODECS = [CODEC, codec_lib.get_codec("radgrounder", 224), codec_lib.get_codec("paligemma")]
BOX = (0.125, 0.25, 0.5, 0.75)
TAG = "<p bbox=<loc0064><loc0128><loc0256><loc0384> id=<seg005>>"
WORDS = ["Leber", "leber", "linke", "Niere", "Größe", "Milz", "Leberläsion", "upper", "lobe", "L5"]
WORDS += ["x", "Ödem", unicodedata.normalize("NFD", "Ödem"), "<5", ">", "1.2", "id=", "</", "-"]
PIECES = ["<p bbox=", "</p>", "<seg>", "</seg>", "<loc0001>", "<loc0512>", "<loc0900>", "id="]
PIECES += ["<seg005>", "<seg000>", "<seg127>", ">", " ", "  ", "\n", "Leber", "Milz", TAG]
PIECES += [" id=", "<p", "<loc12>", "<loc0100><loc0200>"]

intervals = st.lists(st.floats(0, 1), min_size=2, max_size=2, unique=True).map(sorted)
box_strategy = (
    st.tuples(intervals, intervals)
    .map(lambda xy: (*xy[0], *xy[1]))
    .map(lambda b: (b[0], b[2], b[1], b[3]))
)
sentences = st.lists(
    st.tuples(st.sampled_from(WORDS), st.sampled_from([" ", "  ", ", ", ". ", "-", "\n", ""])),
    max_size=12,
).map(lambda parts: "".join(a + b for a, b in parts))
keywords = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)
mention_lists = st.lists(
    st.builds(Mention, keywords, st.integers(1, 121), st.none() | box_strategy), max_size=6
)
modes = st.sampled_from(markup.MODES)


@given(sentences, mention_lists, modes)
def test_stripping_what_was_rendered_gives_the_sentence_back(sentence, mentions, mode):
    assert markup.strip(markup.render(sentence, mentions, mode, CODEC)) == sentence


@given(sentences, mention_lists, modes)
def test_rendered_markup_never_nests_nor_overlaps(sentence, mentions, mode):
    text = markup.render(sentence, mentions, mode, CODEC)
    opening, closing = {"boxes": ("<p bbox=", "</p>"), "masks": ("<seg>", "</seg>")}[mode]
    depth = at = 0
    while at < len(text):
        depth += text.startswith(opening, at) - text.startswith(closing, at)
        assert depth in (0, 1)
        at += 1
    assert depth == 0
    assert markup.parse(text, CODEC).valid


@given(sentences, mention_lists, modes, st.sampled_from(CODECS))
def test_parsing_what_was_rendered_gives_the_entities_back(sentence, mentions, mode, codec):
    parsed = markup.parse(markup.render(sentence, mentions, mode, codec), codec)
    places = markup.locate(sentence, mentions, mode)
    assert parsed.text == sentence
    assert not parsed.problems
    assert [e.span for e in parsed.entities] == [(a, b) for a, b, _ in places]
    for k, (entity, (start, end, mention)) in enumerate(zip(parsed.entities, places, strict=True)):
        assert entity.phrase == sentence[start:end]
        if mode == "boxes":
            assert entity.class_id == mention.class_id
            assert entity.box == codec.decode(codec.bins(mention.box))
            assert entity.mask_index is None
        else:
            assert (entity.class_id, entity.box, entity.mask_index) == (0, None, k)


@given(sentences, mention_lists)
def test_rendering_twice_adds_nothing_inside_the_markup_of_the_first_time(sentence, mentions):
    once = markup.render(sentence, mentions, "boxes", CODEC)
    boxed = [m for m in mentions if m.box is not None]
    twice = markup.render(once, boxed, "boxes", CODEC)
    assert markup.parse(twice, CODEC).valid
    assert markup.strip(twice) == sentence


@given(st.text(max_size=200))
def test_parse_and_strip_take_any_text(text):
    parsed = markup.parse(text, CODEC)
    assert parsed.text == markup.strip(text)


@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join), st.sampled_from(CODECS))
def test_parse_recovers_the_visible_text_of_shuffled_markup(text, codec):
    parsed = markup.parse(text, codec)
    assert parsed.text == markup.strip(text)
    for piece in ("<p bbox=", "</p>", "<seg>", "</seg>", "<loc0001>", "<seg005>"):
        assert piece not in parsed.text
    for word in ("Leber", "Milz"):
        assert parsed.text.count(word) == text.count(word)
    for entity in parsed.entities:
        start, end = entity.span
        assert entity.phrase == parsed.text[start:end] == entity.phrase.strip() != ""
        assert 0 <= entity.class_id <= 121
        if entity.box:
            x1, y1, x2, y2 = entity.box
            assert 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1
    for problem in parsed.problems:
        assert text[problem.position :].startswith(problem.excerpt)
        assert problem.excerpt


def render(sentence, *keywords, **kwargs):
    mentions = [k if isinstance(k, Mention) else Mention(k, 5, BOX) for k in keywords]
    return markup.render(sentence, mentions, codec=CODEC, **kwargs)


def test_a_box_is_written_as_the_grammar_says():
    assert render("Die Leber ist groß.", "Leber") == f"Die {TAG}Leber</p> ist groß."
    assert render("Die Leber ist groß.", "Leber", mode="masks") == (
        "Die <seg>Leber</seg> ist groß."
    )


def test_the_longest_keyword_wins():
    sentence = "Zyste der linken Niere, Niere rechts unauffällig."
    mentions = [Mention("Niere", 2, BOX), Mention("linken Niere", 3, BOX)]
    found = markup.parse(markup.render(sentence, mentions, codec=CODEC), CODEC).entities
    assert [(e.phrase, e.class_id) for e in found] == [("linken Niere", 3), ("Niere", 2)]


def test_only_whole_words_are_marked():
    assert render("Leberläsion, Fettleber, Leberle", "Leber") == "Leberläsion, Fettleber, Leberle"
    assert f"{TAG}Leberläsion</p>" in render("Eine Leberläsion.", "Leberläsion", "Leber")
    assert render("Leber_1 Leber2", "Leber") == "Leber_1 Leber2"
    assert render("(Leber)/Leber-MRT", "Leber") == f"({TAG}Leber</p>)/{TAG}Leber</p>-MRT"


def test_every_occurrence_is_marked():
    assert render("Leber und Leber", "Leber") == f"{TAG}Leber</p> und {TAG}Leber</p>"


def test_case_composition_and_white_space_may_differ_and_are_kept():
    decomposed = unicodedata.normalize("NFD", "Ödem")
    assert render("LEBER", "Leber") == f"{TAG}LEBER</p>"
    assert render(f"Ein {decomposed}.", "Ödem") == f"Ein {TAG}{decomposed}</p>."
    assert render("Ein Ödem.", decomposed) == f"Ein {TAG}Ödem</p>."
    assert render("upper \n lobe", "upper lobe") == f"{TAG}upper \n lobe</p>"
    # The combining accent belongs to the last letter, so "Cafe" is another word.
    assert render("Cafe\u0301", "Cafe") == "Cafe\u0301"


def test_a_mention_without_a_box_stays_plain_and_keeps_its_words():
    absent = Mention("linke Niere", 3)
    assert render("linke Niere und Niere", absent, "Niere") == f"linke Niere und {TAG}Niere</p>"
    assert "<seg>linke Niere</seg>" in render("linke Niere", absent, mode="masks")


def test_of_mentions_with_one_keyword_the_first_with_a_box_counts():
    mentions = [Mention("Nieren", 2), Mention("Nieren", 3, BOX), Mention("Nieren", 4, BOX)]
    text = markup.render("Beide Nieren", mentions, codec=CODEC)
    assert [e.class_id for e in markup.parse(text, CODEC).entities] == [3]


def test_markup_already_there_is_left_alone():
    text = f"{TAG}Leber und Milz</p>, Milz"
    assert render(text, "Milz") == f"{TAG}Leber und Milz</p>, {TAG}Milz</p>"
    assert render("<seg>Milz", "Milz") == "<seg>Milz"


def test_rendering_refuses_what_could_not_be_read_again():
    with pytest.raises(ValueError, match=r"1\.\.121"):
        render("Leber", Mention("Leber", 122, BOX))
    with pytest.raises(ValueError, match="within 0..1"):
        render("Leber", Mention("Leber", 5, (0, 0, 100, 100)))
    with pytest.raises(ValueError, match="codec"):
        markup.render("Leber", [])
    with pytest.raises(ValueError, match="'boxes' or 'masks'"):
        render("Leber", mode="points")
    with pytest.raises(ValueError, match="empty"):
        Mention(" ", 5)


def test_white_space_between_the_parts_of_a_tag_is_read():
    loose = "<p bbox= <loc0064> <loc0128><loc0256> <loc0384>id= <seg005> > Leber </p> ist"
    parsed = markup.parse("Die " + loose, CODEC)
    assert parsed.valid
    assert parsed.text == "Die Leber ist"
    assert parsed.entities == (markup.Entity("Leber", 5, BOX, None, (4, 9)),)


def test_bin_512_is_read_as_the_border():
    parsed = markup.parse("<p bbox=<loc0000><loc0000><loc0512><loc0512> id=<seg005>>a</p>", CODEC)
    assert parsed.valid and parsed.entities[0].box == (0, 0, 1, 1)


def test_each_mask_is_counted_by_its_closing_tag_opened_or_not():
    parsed = markup.parse("a</seg> <seg>b</seg> <seg></seg> <seg>c</seg>", CODEC)
    assert [(e.phrase, e.mask_index) for e in parsed.entities] == [("b", 1), ("c", 3)]
    assert [p.kind for p in parsed.problems] == [ProblemKind.UNOPENED, ProblemKind.EMPTY_KEYWORD]


LOCS = "<loc0064><loc0128><loc0256><loc0384>"


# Each row: the text, its problems, its visible text, and (phrase, class id, has a box) per entity.
@pytest.mark.parametrize(
    "text, kinds, visible, entities",
    [
        ("<5 mm > 3, id=7", [], "<5 mm > 3, id=7", []),
        (f"a {TAG}Leber", ["UNCLOSED"], "a Leber", []),
        ("a Leber</p> b", ["UNOPENED"], "a Leber b", []),
        (f"{TAG}</p> b", ["EMPTY_KEYWORD"], "b", []),
        (f"a {TAG} </p> b", ["EMPTY_KEYWORD"], "a b", []),
        (
            f"{TAG}linke {TAG}Niere</p> x</p>",
            ["UNCLOSED", "NESTED", "UNOPENED"],
            "linke Niere x",
            [("Niere", 5, True)],
        ),
        (f"{TAG}Leber</seg></p>", ["UNOPENED"], "Leber", [("Leber", 5, True)]),
        ("<seg>Leber</p></seg>", ["UNOPENED"], "Leber", [("Leber", 0, False)]),
        (
            "<p bbox=<loc0001><loc0002> id=<seg005>>Leber</p>",
            ["MALFORMED_TAG"],
            "Leber",
            [("Leber", 5, False)],
        ),
        (f"<p bbox={LOCS}>Leber</p>", ["MALFORMED_TAG"], "Leber", [("Leber", 0, True)]),
        (f"<p bbox={LOCS} id=<seg005>Leber</p>", ["MALFORMED_TAG"], "Leber", [("Leber", 5, True)]),
        ("<p bbox=Leber</p>", ["MALFORMED_TAG"], "Leber", [("Leber", 0, False)]),
        (
            "<p bbox=<loc0600><loc0000><loc0700><loc0100> id=<seg005>>Leber</p>",
            ["BIN_OUT_OF_RANGE"],
            "Leber",
            [("Leber", 5, False)],
        ),
        (
            "<p bbox=<loc0100><loc0000><loc0050><loc0100> id=<seg005>>Leber</p>",
            ["EMPTY_BOX"],
            "Leber",
            [("Leber", 5, False)],
        ),
        (
            "<p bbox=<loc0100><loc0050><loc0200><loc0050> id=<seg005>>Leber</p>",
            ["EMPTY_BOX"],
            "Leber",
            [("Leber", 5, False)],
        ),
        (f"<p bbox={LOCS} id=<seg122>>Leber</p>", ["UNKNOWN_CLASS"], "Leber", [("Leber", 0, True)]),
        (f"<p bbox={LOCS} id=<seg000>>Leber</p>", ["UNKNOWN_CLASS"], "Leber", [("Leber", 0, True)]),
        (f"a {LOCS} id=<seg005>> b <loc0001>", ["STRAY", "STRAY"], "a b ", []),
    ],
)
def test_malformed_markup_is_named_and_its_text_recovered(text, kinds, visible, entities):
    parsed = markup.parse(text, CODEC)
    assert [p.kind.name for p in parsed.problems] == kinds
    assert parsed.valid == (not kinds)
    assert parsed.text == markup.strip(text) == visible
    assert [(e.phrase, e.class_id, e.box is not None) for e in parsed.entities] == entities


def test_the_codec_decides_which_bins_exist_and_their_order():
    text = "<p bbox=<loc0000><loc0600><loc1023><loc1000> id=<seg005>>Leber</p>"
    entity = markup.parse(text, codec_lib.get_codec("paligemma")).entities[0]
    assert entity.box == pytest.approx((600 / 1023, 0, 1000 / 1023, 1))
    assert not markup.parse(text, CODEC).valid
