import numpy as np
import pytest

from big_rad.pp import builder, ops_caption
from big_rad.pp import tokenizer as tokenizers

TOK = tokenizers.load("tiny", ())
TEXTS = [
    {"task": "report", "lang": "en", "sentence": "The liver is normal."},
    {"task": "report", "lang": "de", "sentence": "Leber unauffällig."},
    {"task": "vqa", "lang": "en", "question": "Is the liver normal?", "answer": "yes"},
]


def make(said=TEXTS, seed=0, **options):
    arguments = ", ".join(f"{k}={v!r}" for k, v in options.items())
    pp = builder.get_preprocess_fn(f"caption({arguments})")
    return pp({"id": "a", "texts": said, "rng": np.random.default_rng(seed)})


def test_a_row_is_the_lowercased_text_with_its_end_and_padding():
    made = make(langs=("en",), length=32)
    ids = TOK.encode("the liver is normal.", eos=True)
    assert made["text"].tolist() == [*ids, *[0] * (32 - len(ids))]
    assert made["cut"] == 0 and made["mask_loss"].all() and not made["mask_ar"].any()


def test_all_report_sentences_are_drawn_and_no_question():
    drawn = {make(seed=n, style="sentence")["reference"] for n in range(20)}
    assert drawn == {"The liver is normal.", "Leber unauffällig."}
    first = {make(seed=n, choose="first")["reference"] for n in range(5)}
    assert first == {"The liver is normal."}


def test_a_report_has_all_sentences_of_one_language_and_both_draws_either():
    spleen = {"task": "report", "lang": "en", "sentence": "Spleen normal"}
    whole = "The liver is normal. Spleen normal."
    made = make([*TEXTS, spleen], langs=("en",), style="report", choose="first", keys=8)
    assert made["reference"] == whole and made["lang"] == "en"
    # The report, the two sentences, and the German one, which is the whole German report.
    assert (made["text_keys"] != 0).any(1).tolist() == [True] * 4 + [False] * 4
    drawn = {make([*TEXTS, spleen], seed=n)["reference"] for n in range(40)}
    assert drawn == {whole, "Leber unauffällig.", "The liver is normal.", "Spleen normal"}


def test_several_texts_of_a_row_differ_until_all_were_drawn():
    spleen = {"task": "report", "lang": "en", "sentence": "Spleen normal"}
    made = make([*TEXTS, spleen], texts=5, length=32)
    # Two reports and three sentences, of which the German report is the German sentence.
    assert made["text"].shape == made["mask_loss"].shape == (5, 32)
    assert len({tuple(row) for row in made["text"].tolist()}) == 4
    assert made["cut"].shape == (5,)
    again = make(texts=3, style="report", length=32)
    rows = again["text"].tolist()
    assert len({tuple(row) for row in rows}) == 2
    own = [ops_caption.key(TOK.decode(row[: row.index(TOK.eos_id)])) for row in rows]
    np.testing.assert_array_equal(again["text_keys"][:3], own)


def test_the_keys_are_those_of_all_texts_with_the_own_one_first():
    en, de = (make(langs=(lang,), keys=4) for lang in ("en", "de"))
    assert en["text_keys"].shape == (4, 2) and not en["text_keys"][2:].any()
    np.testing.assert_array_equal(en["text_keys"][:2], de["text_keys"][1::-1])
    np.testing.assert_array_equal(en["image_key"], de["image_key"])
    other = make([{"task": "report", "lang": "en", "sentence": "the  LIVER is normal"}])
    np.testing.assert_array_equal(other["text_keys"][0], en["text_keys"][0])


def test_an_exchanged_text_is_the_first_with_one_side_and_has_its_own_key():
    said = [
        {"task": "report", "lang": "en", "sentence": s}
        for s in ("The liver is normal.", "Cyst of the left kidney.", "Left and right lung.")
    ]
    made = make(said, style="sentence", choose="first", texts=3, exchanged=True, length=16)
    ids = TOK.encode("cyst of the right kidney.", eos=True)
    assert made["exchanged"].tolist() == [*ids, *[0] * (16 - len(ids))]
    np.testing.assert_array_equal(
        made["exchanged_key"], ops_caption.key("Cyst of the right kidney.")
    )
    one = make(said, style="sentence", choose="first", exchanged=True, length=16)
    assert not one["exchanged"].any() and not one["exchanged_key"].any()
    # The row of a text that is cut before its side is that of the exchanged text.
    cut = make(said[1:2], style="sentence", exchanged=True, length=4)
    assert not cut["exchanged"].any() and not cut["exchanged_key"].any()


def test_a_long_report_is_cut_at_a_sentence_and_a_long_sentence_at_a_token():
    text = "Leber frei. Milz frei. " + "Niere ohne Befund. " * 20
    ids, cut = ops_caption.tokens(TOK, text, 16)
    said = TOK.decode(ids[:-1])
    assert cut and ids[-1] == TOK.eos_id and len(ids) <= 16
    assert said.endswith(".") and text.lower().startswith(said)
    ids, cut = ops_caption.tokens(TOK, "leber " * 50, 16)
    assert cut and len(ids) == 16 and ids[-1] == TOK.eos_id
    assert ops_caption.tokens(TOK, "Leber frei.", 16)[1] is False


def test_an_example_without_such_a_sentence_is_an_error():
    with pytest.raises(ValueError, match="no report sentence in zh"):
        make(langs=("zh",))


@pytest.mark.parametrize(
    "options", [dict(length=1), dict(keys=0), dict(choose="last"), dict(style="all")]
)
def test_impossible_arguments_are_refused(options):
    with pytest.raises(ValueError, match="caption"):
        make(**options)
