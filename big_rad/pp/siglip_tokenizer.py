"""The tokenizer of the first SigLIP, which reads plain English text and nothing else.

It is the SentencePiece model `c4_en` of 32,000 pieces, which starts with <pad>, </s> and <unk>, and
has no tokens for grounding. On Hugging Face it is the file `spiece.model`. SigLIP 2 has Gemma's
tokenizer, see `pp.tokenizer`. This is what the originals do with a text, and what the op `caption`
does:

    implementation    case            punctuation of SigLIP    punctuation of SigLIP 2
    big_vision        lower (ASCII)   kept                     kept
    transformers      lower           removed                  kept
    open_clip         lower           removed                  removed
    op `caption`      lower           kept                     kept

All of them end a text with one end token, of id 1 in both tokenizers, and fill it up to the context
length: in SigLIP with 1, the end token again, and in SigLIP 2 with 0. A text that is too long loses
tokens before its end token. The op `caption` cuts it at the end of a sentence.

Punctuation is kept, as in big_vision's op `tokenize`, with which SigLIP was trained: without it
"1.2 cm" would become "12 cm". In big_vision only the class names of an evaluation lose it. The
context length is that of the checkpoint: 64, but 16 in the So400m/14 of 224 pixels.
"""

import functools
import hashlib
from collections.abc import Iterable, Sequence

import sentencepiece as spm

CONTROL_IDS = {"<pad>": 0, "</s>": 1, "<unk>": 2}


def is_siglip(model: bytes) -> bool:
    """Returns whether the bytes are a SentencePiece model with the control pieces of SigLIP's."""
    sp = spm.SentencePieceProcessor()
    try:
        sp.load_from_serialized_proto(model)
    except RuntimeError:
        return False
    return {sp.id_to_piece(i): i for i in range(min(3, sp.get_piece_size()))} == CONTROL_IDS


class SiglipTokenizer:
    """Encodes and decodes plain text; it has the face of `pp.tokenizer.Tokenizer`.

    Args:
        model: the bytes of a SentencePiece model whose ids of pad, end and unk are 0 to 2.
        source: the file that the bytes came from, for messages.

    Attributes:
        model: the bytes given.
        sets: (), since there are no markup tokens; `markup` is empty for the same reason.
        vocab_size, padded_vocab_size, text_size: the number of pieces. A text tower's table has
            exactly these rows.
        caption_pad_id: the id that fills a caption up, which is that of </s>.
    """

    family, sets = "siglip", ()
    pad_id, eos_id, unk_id = CONTROL_IDS.values()
    caption_pad_id = eos_id

    def __init__(self, model: bytes, source: str = ""):
        if not is_siglip(model):
            raise ValueError(
                f"{source or 'the model'} is not the SentencePiece model of SigLIP, which starts "
                f"with the pieces {list(CONTROL_IDS)} (the file spiece.model)"
            )
        self.model, self.source = bytes(model), source
        self._sp = spm.SentencePieceProcessor()
        self._sp.load_from_serialized_proto(self.model)
        self.vocab_size = self.padded_vocab_size = self.text_size = self._sp.get_piece_size()
        self.markup: dict[str, int] = {}

    def encode(
        self, text: str, bos: bool = False, eos: bool = False, specials: bool = False
    ) -> list[int]:
        """Encodes a text, as it is: the op `caption` writes it in lower case.

        Args:
            text: any text. White space is joined, and the text never gives a control piece.
            bos: must be False, since there is no begin token.
            eos: whether </s> is put at the end.
            specials: changes nothing, since there are no special tokens.

        Raises:
            ValueError: `bos` is asked for.
        """
        del specials
        if bos:
            raise ValueError(f"{self.source or 'this tokenizer'} of SigLIP has no begin token")
        return [*self._sp.encode(text), *([self.eos_id] if eos else [])]

    def decode(self, ids: Iterable[int], skip_special: bool = False, guard: bool = False) -> str:
        """Turns ids into text; see `pp.tokenizer.Tokenizer.decode`. Nothing needs a guard.

        Raises:
            ValueError: An id is outside [0, vocab_size).
        """
        del guard
        ids = [int(i) for i in ids]
        outside = [i for i in ids if not 0 <= i < self.vocab_size]
        if outside:
            raise ValueError(
                f"token id {outside[0]} is not in [0, {self.vocab_size}): the ids come from "
                "another tokenizer"
            )
        parts: list[str] = []
        run: list[int] = []
        for i in [*ids, None]:
            if i is not None and not self._sp.is_control(i):
                run.append(i)
                continue
            parts += [self._sp.decode(run)] if run else []
            run = []
            if i is not None and not skip_special:
                parts.append(self._sp.id_to_piece(i))
        return "".join(parts)

    @functools.cached_property
    def fingerprint(self) -> str:
        """The SHA-256 digest (hex) of the model."""
        return hashlib.sha256(self.model).hexdigest()

    def __reduce__(self) -> tuple[type, Sequence[object]]:
        return SiglipTokenizer, (self.model, self.source)

    def __repr__(self) -> str:
        return f"SiglipTokenizer({self.source or len(self.model)!r}, {self.vocab_size})"
