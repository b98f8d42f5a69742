"""Small SigLIPs: a tokenizer with the special pieces of the original, and whole checkpoints."""

import io

import sentencepiece as spm

LINES = [
    f"the {organ} is {state} and {size} cm."
    for organ in ("liver", "spleen", "left kidney", "lung")
    for state in ("normal", "enlarged", "small")
    for size in ("1.2", "3", "4.5")
]


def spiece(pieces: int = 90) -> bytes:
    """Returns a real SentencePiece model with the special pieces and the settings of SigLIP's."""
    out = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES),
        model_writer=out,
        model_type="unigram",
        vocab_size=pieces,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        pad_piece="<pad>",
        eos_piece="</s>",
        unk_piece="<unk>",
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
    )
    return out.getvalue()
