import pickle

import pytest
import transformers

from big_rad import models
from big_rad.pp import builder, siglip_tokenizer
from big_rad.pp import tokenizer as tokenizers
from tests.helpers import siglips

TEXT = "the liver is normal and 3 cm"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("siglip") / "spiece.model"
    path.write_bytes(siglips.spiece())
    return path


@pytest.fixture(scope="module")
def tok(file):
    return tokenizers.load(file)


def test_the_file_is_recognised_by_its_pieces_and_found_in_a_folder(tok, file):
    assert isinstance(tok, siglip_tokenizer.SiglipTokenizer)
    assert tokenizers.load(file.parent).fingerprint == tok.fingerprint
    kept = file.with_name("tokenizer.model")  # As a run directory keeps it.
    kept.write_bytes(tok.model)
    assert tokenizers.load(kept).encode(TEXT) == tok.encode(TEXT)
    assert (tok.pad_id, tok.eos_id, tok.unk_id, tok.caption_pad_id) == (0, 1, 2, 1)
    assert tok.text_size == tok.vocab_size == tok.padded_vocab_size and not tok.markup


def test_ids_are_those_of_transformers_for_text_without_punctuation(tok, file):
    theirs = transformers.SiglipTokenizer(str(file))
    for text in (TEXT, "The LEFT kidney  is small", "grün"):
        found = theirs(text, padding="max_length", max_length=24)["input_ids"]
        ids = tok.encode(" ".join(text.lower().split()), eos=True)
        assert [*ids, *[tok.caption_pad_id] * (24 - len(ids))] == found


def test_punctuation_is_kept_so_that_a_size_stays_the_same(tok):
    assert tok.decode(tok.encode("1.2 cm.", eos=True), skip_special=True) == "1.2 cm."
    assert tok.encode("1.2 cm") != tok.encode("12 cm")


def test_text_never_gives_a_control_piece_and_decoding_shows_or_skips_it(tok):
    assert not {0, 1} & set(tok.encode("</s> the <pad> liver"))
    ids = tok.encode(TEXT, eos=True) + [1, 0]
    assert tok.decode(ids, skip_special=True) == TEXT
    assert tok.decode(ids) == f"{TEXT}</s></s><pad>"
    with pytest.raises(ValueError, match="token id 90000 is not in"):
        tok.decode([90000])
    with pytest.raises(ValueError, match="no begin token"):
        tok.encode(TEXT, bos=True)


def test_a_pickled_tokenizer_is_the_same(tok):
    again = pickle.loads(pickle.dumps(tok))
    assert again.fingerprint == tok.fingerprint and again.encode(TEXT) == tok.encode(TEXT)


def test_a_caption_is_filled_up_with_the_end_token(tok, file):
    pp = builder.get_preprocess_fn(f"caption({str(file)!r}, length=24, choose='first')")
    texts = [{"task": "report", "lang": "en", "sentence": "The liver is NORMAL."}]
    row = pp({"id": "a", "texts": texts})["text"].tolist()
    ids = tok.encode("the liver is normal.", eos=True)
    assert row == [*ids, *[1] * (24 - len(ids))]


def test_only_two_towers_read_it_and_their_table_has_a_row_for_each_piece(tok):
    assert models.rows("two_towers", tok) == tok.vocab_size
    with pytest.raises(ValueError, match="tokenizer of SigLIP.*a radgrounder needs"):
        models.rows("radgrounder", tok)
    gemma = tokenizers.load("tiny")
    assert models.rows("two_towers", gemma) == gemma.loc_ids[0] == 2000
    assert models.rows("radgrounder", gemma) == gemma.padded_vocab_size


def test_another_model_is_refused():
    with pytest.raises(ValueError, match="not the SentencePiece model of SigLIP"):
        siglip_tokenizer.SiglipTokenizer(tokenizers.load("tiny").model, "tiny")
