"""The messages that we declare agree with those that the sentencepiece wheel generated."""

import io
import json
import pathlib

import pytest
import sentencepiece as spm

from big_rad.pp import sentencepiece_proto as ours
from big_rad.pp import tokenizer, tokenizer_json

ROOT = pathlib.Path(__file__).parents[2]
TINY = tokenizer.load("tiny").model


@pytest.fixture(scope="module")
def theirs():
    """The module of the wheel; newer wheels need a newer protobuf than Beam allows."""
    try:
        from sentencepiece import sentencepiece_model_pb2
    except Exception as e:  # protobuf raises its own exceptions, and TypeError.
        pytest.skip(f"the wheel's module cannot be imported here: {e}")
    return sentencepiece_model_pb2


def odd_model():
    """A model whose trainer sets fields that are rarely set, including repeated strings."""
    out = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(["liver and spleen", "left kidney"] * 20),
        model_writer=out,
        model_type="unigram",
        vocab_size=40,
        user_defined_symbols=["<a>", "<b>"],
        control_symbols=["<c>", "<d>"],
        accept_language="en,de",
        required_chars="xyz",
        pad_id=3,
        hard_vocab_limit=False,
        self_test_sample_size=2,
        normalization_rule_name="nmt_nfkc",
        unk_surface="?",
        minloglevel=2,
    )
    return out.getvalue()


MODELS = {"tiny": lambda: TINY, "odd": odd_model}


@pytest.mark.parametrize("name", MODELS)
def test_what_is_read_and_written_again_keeps_every_byte(name, theirs):
    model = MODELS[name]()
    reference = theirs.ModelProto.FromString(model)
    assert ours.serialise(ours.parse(model)) == reference.SerializeToString(deterministic=True)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_changed_gives_the_bytes_of_the_wheel_s_module(name, theirs):
    model = MODELS[name]()
    changed = []
    for proto, kind in (
        (ours.parse(model), ours.USER_DEFINED),
        (theirs.ModelProto.FromString(model), theirs.ModelProto.SentencePiece.USER_DEFINED),
    ):
        proto.pieces.add(piece="<ä>", score=-0.5, type=kind)
        proto.trainer_spec.vocab_size = len(proto.pieces)
        proto.trainer_spec.pad_id = -1
        proto.normalizer_spec.escape_whitespaces = False
        changed.append(proto.SerializeToString(deterministic=True))
    assert changed[0] == changed[1] != model


@pytest.mark.parametrize("name", MODELS)
def test_every_field_in_use_reads_the_same(name, theirs):
    model = MODELS[name]()
    mine, reference = ours.parse(model), theirs.ModelProto.FromString(model)
    for part in ("trainer_spec", "normalizer_spec"):
        used = [f.name for f in getattr(mine, part).DESCRIPTOR.fields if "carried" not in f.name]
        assert len(used) >= 4
        for field in used:
            assert getattr(getattr(mine, part), field) == getattr(getattr(reference, part), field)
    assert [(p.piece, p.score, p.type) for p in mine.pieces] == [
        (p.piece, p.score, p.type) for p in reference.pieces
    ]


def test_defaults_and_numbers_are_those_of_the_wheel_s_module(theirs):
    declared = {"TrainerSpec": theirs.TrainerSpec, "NormalizerSpec": theirs.NormalizerSpec}
    for part, message in (("trainer_spec", "TrainerSpec"), ("normalizer_spec", "NormalizerSpec")):
        fields = declared[message].DESCRIPTOR.fields_by_number
        mine = ours.Model.DESCRIPTOR.fields_by_name[part].message_type.fields
        assert {f.number for f in mine} == set(fields)  # An undeclared field would move to the end.
        for field in mine:
            if "carried" not in field.name:
                assert field.default_value == fields[field.number].default_value, field.name
    kinds = theirs.ModelProto.SentencePiece
    for kind in ("NORMAL", "UNKNOWN", "CONTROL", "USER_DEFINED", "UNUSED", "BYTE"):
        assert getattr(ours, kind) == getattr(kinds, kind)
    assert ours.BPE == theirs.TrainerSpec.BPE


def test_a_model_made_of_tokenizer_json_has_the_bytes_of_the_wheel_s_module(theirs, tmp_path):
    path = tmp_path / "tokenizer.json"
    data = tokenizer_json.from_tokenizer(tokenizer.load("tiny"))
    path.write_text(json.dumps(data), encoding="utf-8")
    model, _ = tokenizer_json.read(path)
    assert theirs.ModelProto.FromString(model).SerializeToString(deterministic=True) == model


def test_the_shipped_model_is_written_as_its_trainer_wrote_it():
    assert ours.serialise(ours.parse(TINY)) == TINY


def test_nothing_imports_the_wheel_s_module():
    name = "sentencepiece_model" + "_pb2"
    files = [f for folder in ("big_rad", "tools", "configs") for f in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    assert [f for f in files if name in f.read_text(encoding="utf-8")] == []
