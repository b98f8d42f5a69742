import json

import hypothesis
import pytest
import transformers
from hypothesis import strategies as st

from big_rad.pp import prompts, tokenizer_json
from big_rad.pp import tokenizer as tokenizer_lib
from tools import build_tokenizer

TINY = tokenizer_lib.load("tiny")
BOX = "<p bbox=<loc0012><loc0100><loc0200><loc0300> id=<seg005>>liver</p>"
TEXTS = [
    "The liver is enlarged, 12.5 x 3,4 cm.",
    "Keine Raumforderung. Größe der Milz: 11 cm; Übergang unauffällig.",
    f"There is a lesion in the {BOX} and <seg>spleen</seg>.\n",
    *prompts.corpus(),
    "\n\n\n a  b   c\t\td \r\n",
    "日本語 עברית العربية ไทย 🩻🫁 e\u0301 ﬁ ½ \u00ad\u200b\ufeff",
    "aaaaaaaaaaaaaaa oooooooo ........ ________ ▁▁",
    "<loc1024> <loc12> <seg128> <p bbox id= =id</p",
    "",
]
# Text without control pieces: transformers would turn these into ids, and we never do.
odd_text = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.sampled_from([*TEXTS, "liver", " ", "  ", "\n", "é", "<loc", BOX, "id="]),
    ),
    max_size=6,
).map("".join)


def theirs(folder):
    return transformers.GemmaTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """(our tokenizer from the SentencePiece model, transformers' conversion of it, its folder)."""
    folder = tmp_path_factory.mktemp("converted")
    (folder / "tokenizer.model").write_bytes(TINY.model)
    fast = theirs(folder)
    fast.add_special_tokens({"additional_special_tokens": ["<image>"]})
    fast.add_tokens([t for s in TINY.sets for t in tokenizer_lib.MARKUP_SETS[s]])
    out = tmp_path_factory.mktemp("fast")
    fast.save_pretrained(out)
    assert not (out / "tokenizer.model").exists() and (out / "tokenizer.json").exists()
    return fast, out


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A tokenizer.json written by big_rad, loaded by transformers."""
    folder = tmp_path_factory.mktemp("exported")
    data = tokenizer_json.from_tokenizer(TINY)
    (folder / "tokenizer.json").write_text(json.dumps(data), encoding="utf-8")
    return transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))


@pytest.mark.parametrize("text", TEXTS)
def test_ids_of_the_sentencepiece_model_its_fast_conversion_and_ours_are_the_same(text, converted):
    fast, folder = converted
    want = fast.encode(text, add_special_tokens=False)
    assert TINY.encode(text, specials=True) == want
    assert tokenizer_lib.load(folder).encode(text, specials=True) == want


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_exported_gives_the_same_ids_in_transformers(text, exported):
    got = exported.encode(text, add_special_tokens=False)
    assert got == TINY.encode(text, specials=True)
    assert exported.decode(got, clean_up_tokenization_spaces=False) == TINY.decode(got)


@hypothesis.settings(max_examples=150)
@hypothesis.given(odd_text)
def test_ids_are_the_same_for_odd_unicode(converted, exported, text):
    hypothesis.assume(not any(c in text for c in build_tokenizer.GEMMA_CONTROL))
    hypothesis.assume(not any(c in text for c in tokenizer_lib.CONTROL_IDS))
    want = TINY.encode(text, specials=True)
    assert tokenizer_lib.load(converted[1]).encode(text, specials=True) == want
    assert exported.encode(text, add_special_tokens=False) == want


def test_ids_past_the_model_are_those_of_hugging_face(converted):
    fast, folder = converted
    ours = tokenizer_lib.load(folder)
    assert fast.convert_tokens_to_ids("<image>") == ours.reserved_id
    for token, i in ours.markup.items():
        assert fast.convert_tokens_to_ids(token) == i
    assert fast.convert_tokens_to_ids("<loc1023>") == ours.loc_ids[-1]


def test_markup_sets_in_another_order_are_refused_with_the_right_one(converted):
    with pytest.raises(ValueError, match=r"load it with sets=\['detection', 'segmentation'\]"):
        tokenizer_lib.load(converted[1], sets=("segmentation", "detection"))


def test_added_tokens_beside_a_sentencepiece_model_are_compared_too(tmp_path):
    (tmp_path / "tokenizer.model").write_bytes(TINY.model)
    i = TINY.reserved_id
    added = {"<image>": i, "<seg>": i + 1, "</seg>": i + 2}
    (tmp_path / "added_tokens.json").write_text(json.dumps(added))
    assert tokenizer_lib.load(tmp_path, sets=("segmentation",)).id_of("</seg>") == i + 2
    with pytest.raises(ValueError, match=r"sets=\['segmentation'\]"):
        tokenizer_lib.load(tmp_path, sets=("detection",))


def test_the_way_there_and_back_keeps_every_id(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(tokenizer_json.from_tokenizer(TINY)), encoding="utf-8")
    model, added = tokenizer_json.read(path)
    again = tokenizer_lib.Tokenizer(model)
    assert again.vocab_size == TINY.vocab_size
    assert added == {"<image>": TINY.reserved_id, **TINY.markup}
    for text in TEXTS:
        assert again.encode(text, specials=True) == TINY.encode(text, specials=True)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda d: d["model"].update(type="Unigram"), "Gemma family"),
        (lambda d: d["model"].update(byte_fallback=False), "Gemma family"),
        (lambda d: d.update(normalizer=None), "Gemma family"),
        (lambda d: d["model"]["vocab"].pop("<0x41>"), "gaps"),
        (lambda d: d.pop("model"), "no tokenizer.json"),
    ],
)
def test_a_file_of_another_family_or_a_damaged_one_is_named(change, message, tmp_path):
    data = tokenizer_json.from_tokenizer(TINY)
    change(data)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=message):
        tokenizer_lib.load(tmp_path)
    path.write_text(json.dumps(data)[:1000])
    with pytest.raises(ValueError, match="no tokenizer.json"):
        tokenizer_lib.load(path)
