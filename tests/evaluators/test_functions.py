"""The functions of a model are made when an evaluator asks for them, and no others are."""

import jax.numpy as jnp
import numpy as np
import pytest

from big_rad import runtime, sharding
from big_rad.evaluators import functions
from big_rad.inference import answer

V = 5


class Model:
    """A model whose parameters are its logits [T, V] at every position, whatever the input is."""

    def apply(self, variables, image, text, mask_ar, **options):
        return None, {"hidden": jnp.broadcast_to(variables["params"], (*text.shape, V))}

    def head(self, params):
        return jnp.eye(V), 0.0, None


def batch(rows):
    text = np.array([[1, 2, 3, 4], [1, 2, 2, 0], [1, 3, 4, 4]], np.int32)[:rows]
    mask = np.array([[0, 0, 1, 1], [0, 0, 1, 0], [0, 0, 0, 0]], np.int32)[:rows]
    return dict(
        image=np.zeros((rows, 1)), text=text, mask_ar=mask, mask_loss=mask, _mask=mask[:, 0]
    )


@pytest.fixture
def made(monkeypatch):
    calls = []

    def make_answer_requests(*args):
        calls.append(args)
        return lambda params, requests, **kw: [(params, r, kw) for r in requests]

    monkeypatch.setattr(answer, "make_answer_requests", make_answer_requests)
    return calls


def test_a_function_is_made_when_it_is_first_asked_for_and_no_other_is(made):
    found = functions.Functions("model", "tokenizer", never=[3])
    assert set(found) == set(functions.MAKERS) and "queue" in found and "segment" not in found
    assert not made
    assert found["queue"]("p", ["a", "b"], rows=2) == [("p", x, {"rows": 2}) for x in "ab"]
    assert found["queue"] is found["queue"]
    assert made == [("model", "tokenizer", None, (3,))]
    found = functions.Functions(Model(), None)
    found["loss"](np.zeros((3, V), np.float32), batch(1))
    assert len(made) == 1
    with pytest.raises(KeyError):
        found["segment"]


@pytest.mark.parametrize("mesh", [False, True])
def test_the_loss_of_rows_that_are_held_out_has_a_value_for_each(mesh):
    mesh = sharding.make_mesh((("data", -1),)) if mesh else None
    logits = np.random.default_rng(0).standard_normal((3, V)).astype(np.float32)
    logits[1, 3] = 9  # The model predicts token 3 after position 1.
    out = functions.Functions(Model(), None, mesh)["loss"](logits, batch(3))
    assert {k: v.shape for k, v in out.items()} == dict.fromkeys(
        ("loss", "correct", "tokens"), (3,)
    )
    xent = np.log(np.exp(logits).sum(-1, keepdims=True)) - logits
    np.testing.assert_allclose(out["loss"], [xent[1, 3] + xent[2, 4], xent[1, 2], 0], rtol=1e-4)
    assert out["tokens"].tolist() == [2, 1, 0]
    last = float(logits[2].argmax() == 4)
    assert out["correct"].tolist() == [1 + last, 0, 0]


class Towers:
    """Two towers whose embeddings are the input times the parameters."""

    def apply(self, variables, image, text):
        x = variables["params"]
        return tuple(None if i is None else i[:, :2] * x for i in (image, text)), {}


@pytest.mark.parametrize("mesh", [False, True])
def test_images_and_texts_are_embedded_together_or_alone(mesh):
    mesh = sharding.make_mesh((("data", -1),)) if mesh else None
    embed = functions.Functions(Towers(), None, mesh)["embed"]
    image, text = np.ones((3, 4), np.float32), np.arange(12, dtype=np.int32).reshape(3, 4)
    both = embed(2.0, {"image": image, "text": text})
    np.testing.assert_array_equal(both["image"], np.full((3, 2), 2.0))
    np.testing.assert_array_equal(both["text"], 2.0 * text[:, :2])
    for field, x in (("image", image), ("text", text)):
        alone = embed(2.0, {field: x})
        assert set(alone) == {field}
        np.testing.assert_array_equal(alone[field], both[field])


def test_a_signal_ends_an_evaluation_between_two_questions(made):
    def watch(items):
        for i, item in enumerate(items):
            if item == "b" or len(seen) > 1:
                raise runtime.Stopped
            seen.append(i)
            yield item

    seen = []
    found = functions.Functions(Model(), None, watch=watch)
    with pytest.raises(runtime.Stopped):
        found["queue"]("p", ["a", "b", "c"])
    assert len(seen) == 1
    found["loss"](np.zeros((3, V), np.float32), batch(1))
    with pytest.raises(runtime.Stopped):
        found["loss"](np.zeros((3, V), np.float32), batch(1))
