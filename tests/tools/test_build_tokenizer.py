import pathlib

from big_rad.pp import tokenizer as tokenizer_lib
from tools import build_tokenizer


def test_rebuilding_the_shipped_model_gives_the_same_bytes():
    shipped = pathlib.Path(tokenizer_lib.__file__).with_name("tiny_tokenizer.model").read_bytes()
    assert build_tokenizer.build_tiny() == shipped, (
        "the corpus or the trainer changed: run `python -m tools.build_tokenizer` and commit the "
        "model; checkpoints of the old one stop loading"
    )


def test_the_shipped_model_has_the_shape_of_paligemmas():
    tok = tokenizer_lib.load("tiny")
    assert tok.loc_ids[0] == build_tokenizer.TINY_PIECES
    assert tok.padded_vocab_size == 3200
    assert tok.encode("\n") == [108] and tok.encode("\n\n") == [109]
    digits = tok.encode("1024")
    assert [tok.decode([d]) for d in digits] == list("1024")


def test_the_shipped_model_knows_prompts_and_anatomy():
    tok = tokenizer_lib.load("tiny")
    assert len(tok.encode("Caption this image and detect keywords:")) <= 10
    assert len(tok.encode("Beschreibe dieses Bild und detektiere Schlüsselwörter:")) <= 12
    assert len(tok.encode("the left kidney")) <= 4
    assert len(tok.encode("die linke Niere")) <= 4


def test_any_text_is_encoded_without_unknown_pieces():
    tok = tokenizer_lib.load("tiny")
    for text in ("naïve façade", "日本語", "µ ± ≥", "\t\r\n", "🫁"):
        ids = tok.encode(text)
        assert tok.unk_id not in ids
        assert tok.decode(ids) == text
