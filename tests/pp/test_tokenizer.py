import pickle

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from big_rad.pp import tokenizer as tokenizer_lib
from tools import build_tokenizer

LINES = [
    f"The {o} is {s}." for o in ("liver", "spleen") for s in ("large", "small", "not seen")
] * 9
TOK = tokenizer_lib.load("tiny")
SPECIALS = [
    *tokenizer_lib.LOC_TOKENS[::97],
    *tokenizer_lib.SEG_TOKENS[::31],
    "<loc1023>",
    "<seg127>",
    *[t for s in tokenizer_lib.MARKUP_SETS.values() for t in s],
]
BOX = "<p bbox=<loc0012><loc0100><loc0200><loc0300> id=<seg005>>liver</p>"
# Text that contains parts of special tokens more often than random text would.
tricky_text = st.lists(
    st.one_of(
        st.text(max_size=6).filter(lambda t: "▁" not in t),
        st.sampled_from([*SPECIALS, "<bos>", "<eos>", "<pad>", "<unk>", "<0x0A>", "<unused3>"]),
        st.sampled_from(["<loc", "<loc00", "12>", "<seg", ">", "<", "bbox", "\n", "  ", "ä"]),
    ),
    max_size=8,
).map("".join)


@pytest.fixture(scope="module", params=[True, False], ids=["paligemma", "gemma"])
def real_layout(request):
    return build_tokenizer.build_real_layout(loc_seg=request.param, lines=LINES, num_pieces=440)


def test_ids_are_those_of_paligemma(real_layout):
    tok = tokenizer_lib.Tokenizer(real_layout)
    assert (tok.loc_ids[0], tok.loc_ids[-1]) == (256000, 257023)
    assert (tok.seg_ids[0], tok.seg_ids[-1]) == (257024, 257151)
    assert tok.reserved_id == 257152
    assert tok.markup == {
        "<p bbox=": 257153,
        "</p>": 257154,
        "id=": 257155,
        "<seg>": 257156,
        "</seg>": 257157,
    }
    assert (tok.vocab_size, tok.padded_vocab_size) == (257158, 257280)
    assert tok.encode("\n") == [108]
    assert (tok.pad_id, tok.eos_id, tok.bos_id, tok.unk_id) == (0, 1, 2, 3)


@pytest.mark.parametrize(
    "sets, markup",
    [
        (("detection",), {"<p bbox=": 257153, "</p>": 257154, "id=": 257155}),
        (("segmentation",), {"<seg>": 257153, "</seg>": 257154}),
        ((), {}),
    ],
)
def test_markup_ids_follow_the_sets_asked_for(real_layout, sets, markup):
    tok = tokenizer_lib.Tokenizer(real_layout, sets)
    assert tok.markup == markup
    assert tok.vocab_size == 257153 + len(markup)
    assert tok.padded_vocab_size == 257280


def test_loc_and_seg_in_the_model_or_appended_give_the_same_ids():
    with_them, without = (
        tokenizer_lib.Tokenizer(build_tokenizer.build_real_layout(flag, LINES, 440))
        for flag in (True, False)
    )
    for text in (BOX, "<seg>liver</seg> <loc0000><seg000>", "liver <loc1024>"):
        for specials in (True, False):
            assert with_them.encode(text, specials=specials) == without.encode(
                text, specials=specials
            )


@pytest.mark.parametrize("token", SPECIALS)
def test_each_special_token_is_one_id_and_comes_back(token):
    ids = TOK.encode(token, specials=True)
    assert ids == [TOK.id_of(token)]
    assert TOK.decode(ids) == token


def test_loc_and_seg_ids_are_in_order():
    assert TOK.encode("".join(tokenizer_lib.LOC_TOKENS), specials=True) == TOK.loc_ids.tolist()
    assert TOK.encode("".join(tokenizer_lib.SEG_TOKENS), specials=True) == TOK.seg_ids.tolist()
    assert TOK.loc_ids.dtype == np.int32


def test_markup_is_cut_as_in_the_released_model():
    ids = TOK.encode(BOX, specials=True)
    space, close = TOK.encode(" "), TOK.encode(">")
    assert ids == [
        TOK.id_of("<p bbox="),
        *(TOK.id_of(f"<loc{i:04d}>") for i in (12, 100, 200, 300)),
        *space,
        TOK.id_of("id="),
        TOK.id_of("<seg005>"),
        *close,
        *TOK.encode("liver"),
        TOK.id_of("</p>"),
    ]


@pytest.mark.parametrize("token", ["<loc1024>", "<loc12>", "<seg128>", "<seg5>", "<p bbox", "</s>"])
def test_what_only_looks_like_a_token_is_none(token):
    assert max(TOK.encode(token, specials=True)) < TOK.loc_ids[0]
    assert TOK.decode(TOK.encode(token, specials=True)) == token


@hypothesis.given(tricky_text)
@hypothesis.settings(deadline=None, max_examples=300)
def test_ordinary_text_never_makes_a_special_or_control_token(text):
    ids = TOK.encode(text)
    assert all(3 <= i < TOK.loc_ids[0] for i in ids)
    assert not any(TOK.decode([i]) in SPECIALS for i in ids)
    assert TOK.decode(ids) == text


@hypothesis.given(tricky_text)
@hypothesis.settings(deadline=None, max_examples=300)
def test_round_trip_with_specials(text):
    ids = TOK.encode(text, bos=True, eos=True, specials=True)
    assert (ids[0], ids[-1]) == (TOK.bos_id, TOK.eos_id)
    assert not {TOK.pad_id, TOK.eos_id, TOK.bos_id} & set(ids[1:-1])
    assert TOK.decode(ids[1:-1]) == text
    assert TOK.decode(ids, skip_special=True) == text


def test_ordinary_text_cannot_forge_in_the_real_layout(real_layout):
    tok = tokenizer_lib.Tokenizer(real_layout)
    for text in ("<loc0001>", "a <seg005> b", "<<loc0001>>", BOX, "<bos>", "<pad><eos>", "<0x0A>"):
        ids = tok.encode(text)
        assert all(3 < i < 256000 for i in ids)
        assert tok.decode(ids) == text


def test_text_between_specials_is_encoded_on_its_own():
    left, right = TOK.encode("The liv"), TOK.encode("er is")
    assert TOK.encode("The liv</p>er is", specials=True) == [*left, TOK.id_of("</p>"), *right]


def test_unloaded_sets_are_ordinary_text():
    tok = tokenizer_lib.load("tiny", ("segmentation",))
    assert max(tok.encode("<p bbox=", specials=True)) < tok.loc_ids[0]
    with pytest.raises(KeyError, match="segmentation"):
        tok.id_of("<p bbox=")


def test_decode_shows_or_skips_control_pieces():
    ids = [TOK.bos_id, *TOK.encode("liver"), TOK.eos_id, TOK.pad_id, TOK.reserved_id]
    assert TOK.decode(ids) == "<bos>liver<eos><pad><reserved>"
    assert TOK.decode(np.asarray(ids, np.int32), skip_special=True) == "liver"


@pytest.mark.parametrize("bad", [-1, TOK.vocab_size, TOK.padded_vocab_size])
def test_decode_refuses_ids_that_are_no_tokens(bad):
    with pytest.raises(ValueError, match=str(bad)):
        TOK.decode([bad])


def test_missing_file_says_where_the_original_is(tmp_path):
    for path in (tmp_path / "paligemma_tokenizer.model", tmp_path):
        with pytest.raises(FileNotFoundError, match="google/paligemma2-3b-pt-224") as e:
            tokenizer_lib.load(path)
        assert "Kaggle" in str(e.value) and "licence" in str(e.value)
        assert str(path) in str(e.value)


def test_damaged_or_foreign_models_are_refused(tmp_path):
    path = tmp_path / "x.model"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(ValueError, match="x.model"):
        tokenizer_lib.load(path)
    part = build_tokenizer.append_pieces(
        build_tokenizer.train(LINES, 440), ["<loc0000>", "<loc0001>"]
    )
    with pytest.raises(ValueError, match="2 of 1152"):
        tokenizer_lib.Tokenizer(part)


@pytest.mark.parametrize("sets", [("masks",), ("detection", "detection")])
def test_unknown_or_repeated_sets_are_refused(sets):
    with pytest.raises(ValueError, match="detection"):
        tokenizer_lib.load("tiny", sets)


def test_a_folder_with_a_tokenizer_loads(tmp_path):
    (tmp_path / "tokenizer.model").write_bytes(TOK.model)
    assert tokenizer_lib.load(tmp_path).fingerprint == TOK.fingerprint


def test_fingerprint_tells_models_and_sets_apart():
    prints = {
        TOK.fingerprint,
        tokenizer_lib.load("tiny", ("detection",)).fingerprint,
        tokenizer_lib.load("tiny", ("segmentation", "detection")).fingerprint,
        tokenizer_lib.Tokenizer(build_tokenizer.train(LINES, 440)).fingerprint,
    }
    assert len(prints) == 4
    assert tokenizer_lib.Tokenizer(TOK.model).fingerprint == TOK.fingerprint


def test_loading_again_and_unpickling_are_cheap_and_equal():
    assert tokenizer_lib.load("tiny") is TOK
    assert pickle.loads(pickle.dumps(TOK)) is TOK
    assert len(pickle.dumps(TOK)) < 1000
    own = tokenizer_lib.Tokenizer(TOK.model)
    assert pickle.loads(pickle.dumps(own)).encode(BOX, specials=True) == TOK.encode(
        BOX, specials=True
    )


def test_a_file_changed_since_pickling_is_noticed(tmp_path):
    path = tmp_path / "t.model"
    path.write_bytes(TOK.model)
    pickled = pickle.dumps(tokenizer_lib.load(path))
    path.write_bytes(build_tokenizer.with_loc_seg(build_tokenizer.train(LINES, 440)))
    with pytest.raises(ValueError, match="changed"):
        pickle.loads(pickled)
