import numpy as np
import pytest

from big_rad.weights import hf_layout, rearrange

SIZES = dict(n=2, h=3, d=5, p=4)


@pytest.mark.parametrize(
    "pattern, plain",
    [
        ("(n h) d -> n d h", lambda x: x.reshape(2, 3, 5).transpose(0, 2, 1)),
        ("d (n h) -> n h d", lambda x: x.reshape(5, 2, 3).transpose(1, 2, 0)),
        ("n d -> 1 n d", lambda x: x[None]),
        ("d n h p -> h p n d", lambda x: x.transpose(2, 3, 1, 0)),
        ("(n h) -> n h", lambda x: x.reshape(2, 3)),
        ("n d", lambda x: x),
    ],
)
def test_patterns_say_what_reshape_and_transpose_do_and_can_be_undone(pattern, plain):
    left, right = rearrange.shapes(pattern, SIZES)
    x = np.arange(np.prod(left)).reshape(left)
    got = rearrange.apply(x, pattern, SIZES)
    np.testing.assert_array_equal(got, plain(x))
    assert got.shape == right
    np.testing.assert_array_equal(rearrange.apply(got, rearrange.invert(pattern), SIZES), x)


@pytest.mark.parametrize("rule", hf_layout.RULES, ids=lambda rule: rule.ours)
def test_both_directions_of_every_rule_undo_each_other(rule):
    cfg = dict(
        img=dict(width=6, depth=2, mlp_dim=5, num_heads=3, patch_size=2),
        llm=dict(
            width=7, depth=2, mlp_dim=5, num_heads=4, num_kv_heads=2, head_dim=3, vocab_size=9
        ),
    )
    axes = hf_layout.sizes(cfg, num_positions=4)
    shapes, tower = hf_layout.expected([rule], axes), axes[rule.ours.split("/")[0]]
    draw = np.random.default_rng(0).standard_normal
    source = {name: draw(shape) for name, shape in shapes.items()}
    ours = np.asarray(hf_layout.to_ours(rule, source, tower))
    assert ours.shape == hf_layout.our_shape(rule, tower)
    back = dict(hf_layout.to_theirs(rule, ours, tower))
    assert list(back) == list(source)
    for name, value in source.items():
        np.testing.assert_array_equal(back[name], value)
