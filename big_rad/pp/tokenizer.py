"""Turns text into token ids and back, with a SentencePiece model and the tokens for grounding.

The ids have this order; with the 256,000 pieces of Gemma they are the ids of PaliGemma 2:

    base pieces       0 ...              the pieces of the SentencePiece model
    location tokens   256000 ... 257023  <loc0000> ... <loc1023>
    segment tokens    257024 ... 257151  <seg000> ... <seg127>
    reserved row      257152             <image> in other implementations
    markup            257153 ...         the tokens of the chosen sets, such as <p bbox=

`encode` looks for special tokens only if the caller says that the text may hold them. A report or
a question that spells out a special token can therefore not forge it.
"""

import functools
import hashlib
import json
import pathlib
import re
from collections.abc import Iterable, Sequence

import numpy as np
import sentencepiece as spm

from big_rad.pp import siglip_tokenizer, tokenizer_json

NUM_LOC = 1024
NUM_SEG = 128
LOC_TOKENS = tuple(f"<loc{i:04d}>" for i in range(NUM_LOC))
SEG_TOKENS = tuple(f"<seg{i:03d}>" for i in range(NUM_SEG))
MARKUP_SETS: dict[str, tuple[str, ...]] = {
    "detection": ("<p bbox=", "</p>", "id="),
    "segmentation": ("<seg>", "</seg>"),
}
RESERVED = "<reserved>"
CONTROL_IDS = {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3}

_LOC_SEG = (
    r"<loc(?:0[0-9]{3}|10(?:[01][0-9]|2[0-3]))>"  # 0000..1023
    r"|<seg(?:0[0-9]{2}|1(?:[01][0-9]|2[0-7]))>"  # 000..127
)
_LOC_SEG_RE = re.compile(_LOC_SEG)
_LOOKALIKE = re.compile(r"<(?=p\s+bbox=|/p>|/?seg>|loc[0-9]{4}>|seg[0-9]{3}>)")
_TINY = pathlib.Path(__file__).with_name("tiny_tokenizer.model")
IN_FOLDER = (
    "spiece.model",
    "tokenizer.model",
    "paligemma_tokenizer.model",
    "gemma_tokenizer.model",
    "tokenizer.json",
)
_WHERE = (
    "the original is `paligemma_tokenizer.model` of Kaggle model google/paligemma-2, or "
    "`tokenizer.model` of Hugging Face repository google/paligemma2-3b-pt-224 (both after "
    "accepting the Gemma licence there); that of SigLIP is `spiece.model` of Hugging Face "
    "repository google/siglip-so400m-patch14-384, that of SigLIP 2 `tokenizer.json` of "
    "google/siglip2-so400m-patch14-224; the name 'tiny' is the small model that comes along"
)


def load(
    name_or_path: str | pathlib.Path = "tiny",
    sets: Sequence[str] = ("detection", "segmentation"),
) -> "Tokenizer":
    """Loads a tokenizer; a second call for the same unchanged file returns the same object.

    That of the first SigLIP becomes a `siglip_tokenizer.SiglipTokenizer`, which has the same face.
    It has no markup tokens, so `sets` does not change it.

    Args:
        name_or_path: "tiny" for the shipped model, or a SentencePiece `.model` file, or a
            `tokenizer.json` of Hugging Face, or a folder that holds one of them.
        sets: the names of the markup sets (keys of MARKUP_SETS), in the order of their ids.

    Raises:
        FileNotFoundError: The file does not exist; the message says where to get the original.
        ValueError: The file is not a usable tokenizer of the Gemma family, a set is unknown, or
            the folder gives the markup tokens other ids than `sets` does.
    """
    path = _TINY if str(name_or_path) == "tiny" else pathlib.Path(name_or_path)
    if path.is_dir():
        inside = [path / n for n in IN_FOLDER if (path / n).is_file()]
        if not inside:
            raise FileNotFoundError(f"{path} holds none of {', '.join(IN_FOLDER)}: {_WHERE}")
        path = inside[0]
    if not path.is_file():
        raise FileNotFoundError(f"no tokenizer file {path}: {_WHERE}")
    stat = path.stat()
    return _load(str(path), tuple(sets), stat.st_mtime_ns, stat.st_size)


class Tokenizer:
    """Encodes and decodes text.

    Args:
        model: the bytes of a SentencePiece model whose ids of pad, eos, bos and unk are 0 to 3.
            It either has all `loc` and `seg` pieces at its end, or does not have any of them.
        sets: the names of the markup sets (keys of MARKUP_SETS), in the order of their ids.
        source: the file that the bytes came from, for messages.

    Attributes:
        model: the bytes given; write them to a file to keep a tokenizer beside a checkpoint.
        sets: the names of the markup sets.
        vocab_size: the number of ids that have a meaning.
        padded_vocab_size: vocab_size rounded up to a multiple of 128, which is the number of rows
            of a decoder's embedding table.
        text_size: the number of ids that plain text needs: those of the base pieces. It is the
            number of rows of a text tower's table.
        caption_pad_id: the id that fills a text up to the context length of a text tower.
        loc_ids: the ids of the location tokens, int32 [1024].
        seg_ids: the ids of the segment tokens, int32 [128].
        reserved_id: the id of the row that is kept free (`<image>` in other implementations).
        markup: {token: id} of the chosen sets.
    """

    family = "gemma"
    pad_id, eos_id, bos_id, unk_id = CONTROL_IDS.values()
    caption_pad_id = pad_id

    def __init__(
        self,
        model: bytes,
        sets: Sequence[str] = ("detection", "segmentation"),
        source: str = "",
    ):
        self.model, self.sets, self.source = bytes(model), _check_sets(sets), source
        self._sp = _processor(self.model, source or "the model")
        base = _num_base_pieces(self._sp, source or "the model")
        self.loc_ids = np.arange(base, base + NUM_LOC, dtype=np.int32)
        self.seg_ids = np.arange(NUM_SEG, dtype=np.int32) + (base + NUM_LOC)
        self.reserved_id = base + NUM_LOC + NUM_SEG
        tokens = [t for s in self.sets for t in MARKUP_SETS[s]]
        self.markup = {t: self.reserved_id + 1 + i for i, t in enumerate(tokens)}
        self.vocab_size = self.reserved_id + 1 + len(tokens)
        self.padded_vocab_size = -(-self.vocab_size // 128) * 128

        self._base = self.text_size = base
        names = [*LOC_TOKENS, *SEG_TOKENS, RESERVED, *tokens]
        self._name_of = {base + i: t for i, t in enumerate(names)}
        self._id_of = {t: i for i, t in self._name_of.items() if t != RESERVED} | CONTROL_IDS
        self._control = {i for i in range(base) if self._sp.is_control(i)} | {self.reserved_id}
        self._special_re = re.compile("|".join([_LOC_SEG, *map(re.escape, tokens)]))
        self._plain = functools.lru_cache(maxsize=16384)(self._encode_plain)

    def encode(
        self, text: str, bos: bool = False, eos: bool = False, specials: bool = False
    ) -> list[int]:
        """Encodes a text.

        Args:
            text: any text; white space is kept as it is.
            bos: whether `<bos>` is put in front.
            eos: whether `<eos>` is put at the end.
            specials: whether loc, seg and markup tokens that `text` spells out become these
                tokens. With False they become ordinary pieces.

        Returns:
            the ids. `text` itself never gives a control piece such as `<bos>`.

        Example:
            `encode("a</p>", specials=True)` ends with the one id of "</p>"; without `specials`,
            "</p>" becomes several ordinary pieces.
        """
        ids = [self.bos_id] if bos else []
        if specials:
            end = 0
            for found in self._special_re.finditer(text):
                if found.start() > end:
                    ids += self._plain(text[end : found.start()])
                ids.append(self._id_of[found.group()])
                end = found.end()
            text = text[end:]
        if text:
            ids += self._plain(text)
        if eos:
            ids.append(self.eos_id)
        return ids

    def decode(self, ids: Iterable[int], skip_special: bool = False, guard: bool = False) -> str:
        """Turns ids into text.

        Args:
            ids: integers in [0, vocab_size), of any integer type.
            skip_special: whether control pieces (pad, eos, bos, ...) and the reserved row are
                left out. The loc, seg and markup tokens are part of the text and stay.
            guard: whether to mark ordinary pieces that spell a token such as `<seg>`. An invisible
                character (U+2060, word joiner) is then put behind their "<", so that a reader of
                the text finds exactly the tokens that are in `ids`.

        Raises:
            ValueError: An id is outside [0, vocab_size); the padding rows of the embedding table
                are outside it too.
        """
        parts: list[str] = []
        run: list[int] = []
        for token in map(int, ids):
            if not 0 <= token < self.vocab_size:
                raise ValueError(
                    f"token id {token} is not in [0, {self.vocab_size}): the ids come from another "
                    "tokenizer, or padding rows of the embedding were not masked"
                )
            if token < self._base and token not in self._control:
                run.append(token)
                continue
            if run:
                parts.append(self._ordinary(run, guard))
                run = []
            if token not in self._control:
                parts.append(self._name_of[token])
            elif not skip_special:
                parts.append(self._name_of.get(token) or self._sp.id_to_piece(token))
        if run:
            parts.append(self._ordinary(run, guard))
        return "".join(parts)

    def pieces(self) -> list[str | bytes | None]:
        """Returns what each id stands for in a text.

        Returns:
            For each id below `vocab_size`: the text of an ordinary piece, the one byte of a byte
            piece, and None for all others (control, loc, seg and markup tokens).
        """
        found: list[str | bytes | None] = [None] * self.vocab_size
        for i in range(self._base):
            piece = self._sp.id_to_piece(i)
            if self._sp.is_byte(i):
                found[i] = bytes([int(piece[3:-1], 16)])
            elif i not in self._control and not self._sp.is_unknown(i):
                found[i] = piece.replace("\N{LOWER ONE EIGHTH BLOCK}", " ")
        return found

    def id_of(self, token: str) -> int:
        """Returns the id of a loc, seg, markup or control token, such as "</p>" or "<eos>".

        Raises:
            KeyError: `token` is not a special token, or its markup set is not loaded.
        """
        if token not in self._id_of:
            raise KeyError(
                f"{token!r} is no special token of this tokenizer, whose sets are "
                f"{list(self.sets)}; all sets: {MARKUP_SETS}"
            )
        return self._id_of[token]

    @functools.cached_property
    def fingerprint(self) -> str:
        """The SHA-256 digest (hex) of the model and the markup: equal if all ids mean the same."""
        digest = hashlib.sha256(self.model)
        digest.update(json.dumps([NUM_LOC, NUM_SEG, list(self.markup.items())]).encode())
        return digest.hexdigest()

    def __reduce__(self):
        if self.source:
            return _reload, (self.source, self.sets, self.fingerprint)
        return Tokenizer, (self.model, self.sets)

    def __repr__(self):
        return f"Tokenizer({self.source or len(self.model)!r}, sets={self.sets}, {self.vocab_size})"

    def _ordinary(self, run: list[int], guard: bool) -> str:
        text = self._sp.decode(run)
        return _LOOKALIKE.sub("<\N{WORD JOINER}", text) if guard else text

    def _encode_plain(self, text: str) -> tuple[int, ...]:
        """Encodes a text without making special tokens, even if the model has pieces for them."""
        # A spelt-out token is cut after its "<", so that no part contains the whole token.
        cuts = [found.start() + 1 for found in _LOC_SEG_RE.finditer(text)]
        if not cuts:
            return tuple(self._sp.encode(text))
        parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        return tuple(i for part in parts for i in self._sp.encode(part))


@functools.lru_cache(maxsize=8)
def _load(
    path: str, sets: tuple[str, ...], mtime: int, size: int
) -> "Tokenizer | siglip_tokenizer.SiglipTokenizer":
    del mtime, size  # They are part of the cache key, so that a changed file is read again.
    file = pathlib.Path(path)
    if file.suffix == ".json":
        model, added = tokenizer_json.read(file)
    else:
        model, added = file.read_bytes(), tokenizer_json.read_added(file.parent)
    if siglip_tokenizer.is_siglip(model):
        return siglip_tokenizer.SiglipTokenizer(model, source=path)
    tokenizer = Tokenizer(model, sets, source=path)
    _check_added(tokenizer, added)
    return tokenizer


def _check_added(tokenizer: Tokenizer, added: dict[str, int]) -> None:
    """Compares our ids with those that a Hugging Face folder gives to its added tokens."""
    ours = {**tokenizer.markup, **{t: tokenizer.id_of(t) for t in (*LOC_TOKENS, *SEG_TOKENS)}}
    theirs = {i: t for t, i in added.items() if t in ours or i in ours.values()}
    wrong = [f"{t!r} = {i}" for i, t in theirs.items() if ours.get(t, i) != i or t not in ours]
    if wrong:
        held = [s for s, tokens in MARKUP_SETS.items() if set(tokens) <= added.keys()]
        held.sort(key=lambda s: added[MARKUP_SETS[s][0]])
        raise ValueError(
            f"{tokenizer.source}: its folder has {', '.join(sorted(wrong)[:5])}, but "
            f"sets={list(tokenizer.sets)} gives {tokenizer.markup}; load it with sets={held}"
        )


def _reload(source: str, sets: tuple[str, ...], fingerprint: str) -> Tokenizer:
    """Unpickles a tokenizer from its path: the pickle does not contain the model itself."""
    tokenizer = load(source, sets)
    if tokenizer.fingerprint != fingerprint:
        raise ValueError(f"{source} changed since this tokenizer was pickled; put the file back")
    return tokenizer


def _check_sets(sets: Sequence[str]) -> tuple[str, ...]:
    sets = (sets,) if isinstance(sets, str) else tuple(sets)
    unknown = [s for s in sets if s not in MARKUP_SETS]
    if unknown or len(set(sets)) != len(sets):
        raise ValueError(f"sets={list(sets)}: name each of {list(MARKUP_SETS)} at most once")
    return sets


def _processor(model: bytes, source: str) -> spm.SentencePieceProcessor:
    sp = spm.SentencePieceProcessor()
    try:
        sp.load_from_serialized_proto(model)
    except RuntimeError as e:
        raise ValueError(
            f"{source} is not a SentencePiece model ({len(model)} bytes): {_WHERE}"
        ) from e
    have = {sp.id_to_piece(i): i for i in range(min(4, sp.get_piece_size()))}
    if have != CONTROL_IDS:
        raise ValueError(
            f"{source} starts with the pieces {list(have)}; one of the Gemma family starts with "
            f"{list(CONTROL_IDS)}, that of SigLIP with {list(siglip_tokenizer.CONTROL_IDS)}: "
            f"{_WHERE}"
        )
    return sp


def _num_base_pieces(sp: spm.SentencePieceProcessor, source: str) -> int:
    """Returns the number of pieces before the loc and seg pieces, or of all if it has none."""
    size = sp.get_piece_size()
    names = [*LOC_TOKENS, *SEG_TOKENS]
    held = [n for n in names if not sp.is_unknown(sp.piece_to_id(n))]
    if not held:
        return size
    base = size - len(names)
    if base < 0 or any(sp.id_to_piece(base + i) != n for i, n in enumerate(names)):
        raise ValueError(
            f"{source} holds {len(held)} of {len(names)} loc and seg pieces, or not in order at "
            f"its end; it must hold all of them there, or none: {_WHERE}"
        )
    return base
