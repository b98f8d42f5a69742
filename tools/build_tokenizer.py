"""Builds the small tokenizer that is shipped, and test models with the ids of the real one.

    python -m tools.build_tokenizer            # writes big_rad/pp/tiny_tokenizer.model

The tokenizer is a byte-pair model that is trained on the sentences of the phantom, the prompts and
the names of anatomy. It has the layout of PaliGemma's tokenizer: the same control pieces and
newline runs at the start, then bytes, then learned pieces, then the loc and seg pieces as
user-defined ones. The same corpus always gives the same bytes. Markup tokens are not in this model;
`big_rad.pp.tokenizer` adds them.
"""

import argparse
import io
import pathlib
from collections.abc import Sequence

import sentencepiece as spm

from big_rad.config import companions
from big_rad.datasets.phantom.words import corpus as phantom_corpus
from big_rad.pp import prompts
from big_rad.pp import sentencepiece_proto as spm_proto
from big_rad.pp import tokenizer as tokenizer_lib

TINY_PIECES = 2000
GEMMA_PIECES = 256_000
PROMPT_WEIGHT = 200  # Prompts are only a few lines of the corpus, but each text has one.
# The pieces 4..107 of Gemma, so that newlines start at 108 as in Gemma.
GEMMA_CONTROL = (
    ["<mask>", "<2mass>", "[@BOS@]"]
    + [f"<unused{i}>" for i in range(99)]
    + ["<start_of_turn>", "<end_of_turn>"]
)
NEWLINES = ["\n" * n for n in range(1, 32)]


# The names of anatomy at the time when the shipped model was made. The lexicon has grown since, but
# the model must not change, because checkpoints depend on its ids.
_ANATOMY = pathlib.Path(__file__).with_name("tiny_tokenizer_anatomy.txt")


def corpus() -> list[str]:
    """Returns the lines that the model is trained on: phantom texts, prompts, names of anatomy."""
    lines = [*phantom_corpus.lines(), *prompts.corpus() * PROMPT_WEIGHT]
    lines += _ANATOMY.read_text(encoding="utf-8").splitlines()
    return [part for line in lines for part in line.split("\n") if part.strip()]


def train(lines: Sequence[str], num_pieces: int = TINY_PIECES) -> bytes:
    """Trains a byte-pair model.

    Args:
        lines: the texts, without newlines.
        num_pieces: the total number of pieces, including control, newline and byte pieces.

    Returns:
        The serialised SentencePiece model, without loc and seg pieces.
    """
    out = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=out,
        model_type="bpe",
        vocab_size=num_pieces,
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        pad_piece="<pad>",
        eos_piece="<eos>",
        bos_piece="<bos>",
        unk_piece="<unk>",
        control_symbols=GEMMA_CONTROL,
        user_defined_symbols=NEWLINES,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        character_coverage=1.0,
        num_threads=1,
        minloglevel=2,
    )
    return out.getvalue()


def with_loc_seg(model: bytes) -> bytes:
    """Returns a model with the loc and seg pieces of PaliGemma's model appended."""
    return append_pieces(model, [*tokenizer_lib.LOC_TOKENS, *tokenizer_lib.SEG_TOKENS])


def build_tiny() -> bytes:
    """Returns the bytes of the shipped model."""
    return with_loc_seg(train(corpus()))


def build_real_layout(
    loc_seg: bool = True, lines: Sequence[str] | None = None, num_pieces: int = TINY_PIECES
) -> bytes:
    """Returns a model with the id layout of the real one: 256,000 pieces, most of them unused.

    Args:
        loc_seg: whether to append loc and seg pieces, as in `paligemma_tokenizer.model` (257,152
            pieces); False gives the layout of `gemma_tokenizer.model`.
        lines: the texts to train on; None takes the corpus of the small model.
        num_pieces: the number of trained pieces; the others are fillers that never occur.
    """
    model = train(corpus() if lines is None else lines, num_pieces)
    fillers = [f"<filler{i}>" for i in range(GEMMA_PIECES - num_pieces)]
    model = append_pieces(model, fillers, spm_proto.UNUSED)
    return with_loc_seg(model) if loc_seg else model


def append_pieces(model: bytes, pieces: Sequence[str], kind: int = spm_proto.USER_DEFINED) -> bytes:
    """Returns a model with pieces appended.

    Args:
        model: the serialised model.
        pieces: the pieces.
        kind: the type of the pieces, a constant of `pp.sentencepiece_proto`.
    """
    proto = spm_proto.parse(model)
    for piece in pieces:
        proto.pieces.add(piece=piece, score=0.0, type=kind)
    proto.trainer_spec.vocab_size = len(proto.pieces)
    return spm_proto.serialise(proto)


def main() -> None:
    """Builds the small tokenizer and writes it to a file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    shipped = pathlib.Path(tokenizer_lib.__file__).with_name("tiny_tokenizer.model")
    if companions.in_wheel():  # The file of an installed package must not be overwritten.
        parser.add_argument("--out", type=pathlib.Path, required=True)
    else:
        parser.add_argument("--out", type=pathlib.Path, default=shipped)
    args = parser.parse_args()
    model = build_tiny()
    args.out.write_bytes(model)
    tok = tokenizer_lib.Tokenizer(model)
    print(f"{args.out}: {len(model)} bytes, {tok.vocab_size} ids, sha256 {tok.fingerprint[:12]}")


if __name__ == "__main__":
    main()
