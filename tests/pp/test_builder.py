import numpy as np
import pytest

from big_rad.pp import builder


def example(**fields):
    image = np.arange(12, dtype=np.int16).reshape(3, 4)
    return {"id": "case7", "image": image, "modality": "CT"} | fields


def test_ops_run_in_order_and_the_given_example_stays_as_it_was():
    given = example()
    out = builder.get_preprocess_fn("load|normalize('medgemma')|resize(2)|keep('image')")(given)
    assert set(out) == {"image"}
    assert out["image"].shape == (2, 2, 3) and out["image"].dtype == np.float32
    assert set(given) == {"id", "image", "modality"} and given["image"].shape == (3, 4)


def test_unknown_ops_are_refused_with_the_known_ones():
    with pytest.raises(KeyError, match="normalize"):
        builder.get_preprocess_fn("load|normalise")


@pytest.mark.parametrize("pp", ["load||resize(2)", "|load", "load|", ""])
def test_an_empty_op_is_refused(pp):
    with pytest.raises(ValueError, match="empty op"):
        builder.get_preprocess_fn(pp)


def test_wrong_arguments_name_the_op():
    with pytest.raises(ValueError, match="resize"):
        builder.get_preprocess_fn("load|resize(size=2, way='up')")


def test_code_in_arguments_is_refused():
    with pytest.raises(ValueError, match="literal"):
        builder.get_preprocess_fn("load|resize(__import__('os').getpid())")


def test_a_bar_inside_quotes_does_not_split():
    assert builder.split("keep('a|b') | load") == ["keep('a|b')", "load"]


def test_errors_carry_op_and_example_id():
    with pytest.raises(ValueError) as e:
        builder.get_preprocess_fn("load")(example(modality="XR"))
    assert any("'load'" in n and "case7" in n for n in e.value.__notes__)


def test_the_usual_string_builds_a_whole_training_example():
    segmap = np.zeros((3, 4), np.uint8)
    segmap[1:, 2:] = 5
    text = {"task": "report", "lang": "en", "sentence": "The liver.", "keywords": [["liver", 5]]}
    fn = builder.get_preprocess_fn(
        "load|augment(shift=1)|normalize('medgemma')|resize(14)|prompt(n=1)|ground('boxes')"
        "|tok(length=64)|keep('image', 'text', 'mask_ar', 'mask_loss', 'segment')"
    )
    outs = [
        fn(example(segmap=segmap, texts=[text], rng=np.random.default_rng(3))) for _ in range(2)
    ]
    assert outs[0]["image"].shape == (14, 14, 3)
    assert all(outs[0][k].shape == (65,) for k in ("text", "mask_ar", "mask_loss", "segment"))
    for k in outs[0]:
        np.testing.assert_array_equal(outs[0][k], outs[1][k])
