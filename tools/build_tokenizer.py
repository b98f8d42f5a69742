"""Builds the small tokenizer that is shipped, and stand-ins with the ids of the real one.

    python -m tools.build_tokenizer            # writes big_rad/pp/tiny_tokenizer.model

A byte-pair model over the sentences of the phantom, the prompts and the names of the anatomy, in
the shape of PaliGemma's: the same control pieces and newline runs in front, then bytes, learned
pieces, and the loc and seg pieces as user-defined ones. The same corpus gives the same bytes.
Knows nothing of markup: those tokens are added by the tokenizer, not by the model.
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
PROMPT_WEIGHT = 200  # prompts are few lines, but stand before every text
# The pieces 4..107 of Gemma, so that newlines start at 108 as they do there.
GEMMA_CONTROL = (
    ["<mask>", "<2mass>", "[@BOS@]"]
    + [f"<unused{i}>" for i in range(99)]
    + ["<start_of_turn>", "<end_of_turn>"]
)
NEWLINES = ["\n" * n for n in range(1, 32)]


# Names of anatomy as they were when the shipped model was made. The lexicon goes on growing, and
# the model must not change with it: checkpoints are bound to its ids.
_ANATOMY = pathlib.Path(__file__).with_name("tiny_tokenizer_anatomy.txt")


def corpus() -> list[str]:
    """Returns the lines to learn from: phantom texts, prompts, names of anatomy."""
    lines = [*phantom_corpus.lines(), *prompts.corpus() * PROMPT_WEIGHT]
    lines += _ANATOMY.read_text(encoding="utf-8").splitlines()
    return [part for line in lines for part in line.split("\n") if part.strip()]


def train(lines: Sequence[str], num_pieces: int = TINY_PIECES) -> bytes:
    """Trains a byte-pair model.

    Args:
        lines: texts without newlines.
        num_pieces: pieces in all, control, newline and byte pieces included.

    Returns:
        the serialised SentencePiece model, without loc and seg pieces.
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
    """Appends the loc and seg pieces, as PaliGemma's model has them."""
    return append_pieces(model, [*tokenizer_lib.LOC_TOKENS, *tokenizer_lib.SEG_TOKENS])


def build_tiny() -> bytes:
    """Returns the bytes of the shipped model."""
    return with_loc_seg(train(corpus()))


def build_real_layout(
    loc_seg: bool = True, lines: Sequence[str] | None = None, num_pieces: int = TINY_PIECES
) -> bytes:
    """Returns a model with the id layout of the real one: 256,000 pieces, most of them unused.

    Args:
        loc_seg: True as `paligemma_tokenizer.model` (257,152 pieces), False as
            `gemma_tokenizer.model`.
        lines: what to learn from; by default the corpus of the small model.
        num_pieces: how many pieces are real; the others are fillers that never occur.
    """
    model = train(corpus() if lines is None else lines, num_pieces)
    fillers = [f"<filler{i}>" for i in range(GEMMA_PIECES - num_pieces)]
    model = append_pieces(model, fillers, spm_proto.UNUSED)
    return with_loc_seg(model) if loc_seg else model


def append_pieces(model: bytes, pieces: Sequence[str], kind: int = spm_proto.USER_DEFINED) -> bytes:
    """Appends pieces of a kind (a constant of `pp.sentencepiece_proto`) to a model."""
    proto = spm_proto.parse(model)
    for piece in pieces:
        proto.pieces.add(piece=piece, score=0.0, type=kind)
    proto.trainer_spec.vocab_size = len(proto.pieces)
    return spm_proto.serialise(proto)


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    shipped = pathlib.Path(tokenizer_lib.__file__).with_name("tiny_tokenizer.model")
    if companions.in_wheel():  # The files of an installation are not rebuilt.
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
