"""Reads and writes SentencePiece model files with any release of protobuf.

The sentencepiece wheel has a generated module for this, but it cannot be imported with a protobuf
older than the one that generated it. The messages are therefore declared here at run time. Fields
that this package does not use are declared by number and wire type alone, so that a model that is
read and written again keeps all its bytes in order. Reference: sentencepiece_model.proto of
google/sentencepiece.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

# Values of `pieces[i].type`, and of `trainer_spec.model_type`.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
BPE = 2

# A package name and a descriptor pool of our own do not collide with the module of the wheel.
_PACKAGE = "big_rad.sentencepiece"
_TYPES = descriptor_pb2.FieldDescriptorProto
_KINDS = {
    "string": _TYPES.TYPE_STRING,
    "bytes": _TYPES.TYPE_BYTES,
    "float": _TYPES.TYPE_FLOAT,
    "bool": _TYPES.TYPE_BOOL,
    "int32": _TYPES.TYPE_INT32,
    "int64": _TYPES.TYPE_INT64,
}
# The fields of each message that this package uses: (name, number, kind, default).
_FIELDS: dict[str, tuple[tuple[str, int, str, str], ...]] = {
    "Piece": (("piece", 1, "string", ""), ("score", 2, "float", ""), ("type", 3, "int32", "1")),
    "TrainerSpec": (
        ("model_type", 3, "int32", "1"),
        ("vocab_size", 4, "int32", "8000"),
        ("split_digits", 25, "bool", "false"),
        ("byte_fallback", 35, "bool", "false"),
        ("unk_id", 40, "int32", "0"),
        ("bos_id", 41, "int32", "1"),
        ("eos_id", 42, "int32", "2"),
        ("pad_id", 43, "int32", "-1"),
        ("unk_piece", 45, "string", "<unk>"),
        ("bos_piece", 46, "string", "<s>"),
        ("eos_piece", 47, "string", "</s>"),
        ("pad_piece", 48, "string", "<pad>"),
    ),
    "NormalizerSpec": (
        ("name", 1, "string", ""),
        ("add_dummy_prefix", 3, "bool", "true"),
        ("remove_extra_whitespaces", 4, "bool", "true"),
        ("escape_whitespaces", 5, "bool", "true"),
    ),
    "Model": (),
}
# The numbers of the fields that are only kept when a model is written again, by wire type.
_CARRIED: dict[str, dict[str, tuple[int, ...]]] = {
    "TrainerSpec": {
        "int64": (6, *range(11, 15), *range(16, 25), 26, 32, 33, 34, 49, 50, 52),
        "float": (10, 15, 51),
        "bytes": (1, 2, 5, 7, 30, 31, 36, 44, 53),
    },
    "NormalizerSpec": {"bytes": (2, 6)},
    "Model": {"bytes": (4, 5)},
}
_MESSAGES = (("pieces", 1, "Piece", True), ("trainer_spec", 2, "TrainerSpec", False))
_MESSAGES += (("normalizer_spec", 3, "NormalizerSpec", False),)


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="big_rad/sentencepiece.proto", package=_PACKAGE, syntax="proto2"
    )
    for message, fields in _FIELDS.items():
        declared = file.message_type.add(name=message)
        for name, number, kind, default in fields:
            field = declared.field.add(name=name, number=number, type=_KINDS[kind])
            field.label = _TYPES.LABEL_OPTIONAL
            if default:
                field.default_value = default
        for kind, numbers in _CARRIED.get(message, {}).items():
            for number in numbers:
                field = declared.field.add(name=f"carried_{number}", number=number)
                field.type = _KINDS[kind]
                repeated = kind == "bytes"  # Some of the string fields are repeated.
                field.label = _TYPES.LABEL_REPEATED if repeated else _TYPES.LABEL_OPTIONAL
    for name, number, message, repeated in _MESSAGES:
        field = declared.field.add(name=name, number=number, type=_TYPES.TYPE_MESSAGE)
        field.type_name = f".{_PACKAGE}.{message}"
        field.label = _TYPES.LABEL_REPEATED if repeated else _TYPES.LABEL_OPTIONAL
    return file


def _model_class() -> type[Message]:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(_file().SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Model"))


Model = _model_class()


def parse(model: bytes) -> Message:
    """Reads the bytes of a model.

    Args:
        model: a serialised SentencePiece model.

    Returns:
        a `Model`: `pieces` (each with `piece`, `score` and `type`), `trainer_spec`,
        `normalizer_spec`.

    Raises:
        google.protobuf.message.DecodeError: The bytes are not a SentencePiece model.
    """
    proto = Model()
    proto.ParseFromString(model)
    return proto


def serialise(proto: Message) -> bytes:
    """Returns the bytes of a `Model`; equal contents give equal bytes."""
    return proto.SerializeToString(deterministic=True)
