"""Converts Hugging Face's `tokenizer.json` of the Gemma family into a SentencePiece model and back.

Both files hold the same tokenizer: byte pairs with a rank, byte fallback, and pieces that are cut
out of a text before it is encoded.
"""

import json
import pathlib
import re
from typing import Any

from google.protobuf.message import Message

from big_rad.pp import sentencepiece_proto as spm_proto

IMAGE = "<image>"  # The name that Hugging Face gives to the reserved row.

_CONTROL = ("<pad>", "<eos>", "<bos>", "<unk>")


def read(path: pathlib.Path) -> tuple[bytes, dict[str, int]]:
    """Builds a SentencePiece model from a `tokenizer.json`.

    Args:
        path: the file.

    Returns:
        (model, added). The model is serialised, and its ids are those of the file's vocabulary.
        `added` is {token: id} for the added tokens that are not in the vocabulary, and therefore
        not in the model.

    Raises:
        ValueError: The file is damaged, or its tokenizer is not of the Gemma family.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        model, added = data["model"], data["added_tokens"]
        vocab, merges = model["vocab"], model["merges"]
        contents = {t["id"]: t for t in added}
    except (ValueError, KeyError, TypeError) as e:
        raise ValueError(f"{path} is no tokenizer.json ({e!r}); download it again") from e
    _check_family(data, path)
    pieces = {i: piece for piece, i in vocab.items()}
    if sorted(pieces) != list(range(len(pieces))):
        raise ValueError(f"{path}: the ids of its vocabulary have gaps")
    extra = {t["content"]: i for i, t in contents.items() if i not in pieces}
    rank: dict[str, int] = {}
    for i, merge in enumerate(merges):
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        rank.setdefault(left + right, i)
    proto = _empty()
    for i in range(len(pieces)):
        _add_piece(proto, i, pieces, contents.get(i), rank, len(merges))
    proto.trainer_spec.vocab_size = len(proto.pieces)
    return spm_proto.serialise(proto), extra


def read_added(folder: pathlib.Path) -> dict[str, int]:
    """Returns {token: id} for the added tokens of a Hugging Face folder, {} if no file lists them.

    Raises:
        ValueError: A file of the folder is damaged.
    """
    try:
        if (folder / "added_tokens.json").is_file():
            return json.loads((folder / "added_tokens.json").read_text(encoding="utf-8"))
        if (folder / "tokenizer.json").is_file():
            data = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
            return {t["content"]: t["id"] for t in data["added_tokens"]}
    except (ValueError, KeyError, TypeError) as e:
        raise ValueError(f"{folder}: damaged tokenizer files ({e!r}); download them again") from e
    return {}


def from_tokenizer(tokenizer: Any) -> dict[str, Any]:
    """Returns the contents of a `tokenizer.json` for a `pp.tokenizer.Tokenizer`.

    The reserved row is called `<image>`. Location, segment and markup tokens are not declared as
    "special", so that decoding keeps them.
    """
    proto = spm_proto.parse(tokenizer.model)
    vocab = {p.piece: i for i, p in enumerate(proto.pieces)}
    added = [
        _added(i, p.piece, special=p.type != spm_proto.USER_DEFINED)
        for i, p in enumerate(proto.pieces)
        if p.type in (spm_proto.CONTROL, spm_proto.USER_DEFINED, spm_proto.UNKNOWN)
    ]
    for i in range(len(proto.pieces), tokenizer.vocab_size):
        if i == tokenizer.reserved_id:
            added.append(_added(i, IMAGE, special=True))
        else:
            added.append(_added(i, tokenizer.decode([i]), special=False))
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": None,
        "post_processor": _template(),
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": _merges(proto, vocab),
        },
    }


def _check_family(data: dict[str, Any], path: pathlib.Path) -> None:
    model = data["model"]
    replace = json.dumps(data.get("normalizer"), ensure_ascii=False)
    vocab = model["vocab"]
    if (
        model.get("type") != "BPE"
        or not model.get("byte_fallback")
        or "▁" not in replace
        or "Prepend" in replace
        or [vocab.get(p) for p in _CONTROL] != [0, 1, 2, 3]
    ):
        raise ValueError(
            f"{path} is no tokenizer of the Gemma family: that is BPE with byte fallback, spaces "
            f"written as '▁', no prefix space, and {', '.join(_CONTROL)} = 0..3. For the tokenizer "
            "of the first SigLIP give the file spiece.model"
        )


def _empty() -> Message:
    proto = spm_proto.Model()
    proto.trainer_spec.model_type = spm_proto.BPE
    proto.trainer_spec.byte_fallback = True
    proto.trainer_spec.split_digits = True
    for name, i in zip(("pad", "eos", "bos", "unk"), range(4)):
        setattr(proto.trainer_spec, f"{name}_id", i)
        setattr(proto.trainer_spec, f"{name}_piece", f"<{name}>")
    proto.normalizer_spec.name = "identity"
    proto.normalizer_spec.add_dummy_prefix = False
    proto.normalizer_spec.remove_extra_whitespaces = False
    proto.normalizer_spec.escape_whitespaces = True
    return proto


def _add_piece(
    proto: Message,
    i: int,
    pieces: dict[int, str],
    added: dict[str, Any] | None,
    rank: dict[str, int],
    last: int,
) -> None:
    piece, score, kind = pieces[i], 0.0, spm_proto.NORMAL
    if piece == "<unk>":
        kind = spm_proto.UNKNOWN
    elif piece == "\t" and pieces.get(i - 1) == "<0x08>":
        piece, kind = "<0x09>", spm_proto.BYTE  # Some conversions write the byte as itself.
    elif re.fullmatch(r"<0x[0-9A-F]{2}>", piece):
        kind = spm_proto.BYTE
    elif added is not None:
        kind = spm_proto.CONTROL if added["special"] else spm_proto.USER_DEFINED
    else:
        score = -float(rank.get(piece, last + i))
    proto.pieces.add(piece=piece, score=score, type=kind)


def _merges(proto: Message, vocab: dict[str, int]) -> list[list[str]]:
    # All pairs of pieces that form a learned piece; the pairs of the best piece come first.
    usable = {p.piece for p in proto.pieces if p.type == spm_proto.NORMAL}
    found = []
    for p in proto.pieces:
        if p.type != spm_proto.NORMAL:
            continue
        for cut in range(1, len(p.piece)):
            left, right = p.piece[:cut], p.piece[cut:]
            if left in usable and right in usable:
                found.append((-p.score, -cut, vocab[p.piece], left, right))
    return [[left, right] for *_, left, right in sorted(found)]


def _added(i: int, content: str, special: bool) -> dict[str, Any]:
    return {
        "id": i,
        "content": content,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": special,
    }


def _template() -> dict[str, Any]:
    bos = {"SpecialToken": {"id": "<bos>", "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [bos, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [
            bos,
            {"Sequence": {"id": "A", "type_id": 0}},
            {"Sequence": {"id": "B", "type_id": 1}},
        ],
        "special_tokens": {"<bos>": {"id": "<bos>", "ids": [2], "tokens": ["<bos>"]}},
    }
