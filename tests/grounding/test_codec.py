import pytest
from hypothesis import given
from hypothesis import strategies as st

from big_rad.grounding import codec as codec_lib

CODECS = {
    "radgrounder": codec_lib.get_codec("radgrounder"),
    "radgrounder(grid=224)": codec_lib.get_codec("radgrounder", grid=224),
    "paligemma": codec_lib.get_codec("paligemma"),
}
# The largest error of a coordinate: a bin, a grid cell, or half a bin.
STEP = {"radgrounder": 1 / 512, "radgrounder(grid=224)": 1 / 224, "paligemma": 0.5 / 1023}


def intervals(least):
    return (
        st.tuples(st.floats(0, 1), st.floats(0, 1))
        .map(sorted)
        .filter(lambda ab: ab[1] - ab[0] > least)
    )


@pytest.mark.parametrize("name", CODECS)
@given(x=intervals(0.01), y=intervals(0.01))
def test_a_box_comes_back_within_one_step_of_the_codec(name, x, y):
    codec = CODECS[name]
    box = (x[0], y[0], x[1], y[1])
    back = codec.decode(codec.bins(box))
    assert max(abs(a - b) for a, b in zip(box, back, strict=True)) <= STEP[name] + 1e-4


@pytest.mark.parametrize("name", CODECS)
@given(x=intervals(0), y=intervals(0))
def test_every_box_written_is_in_range_and_keeps_an_area_however_thin_it_is(name, x, y):
    codec = CODECS[name]
    bins = codec.bins((x[0], y[0], x[1], y[1]))
    assert all(0 <= i < codec.num_bins for i in bins)
    x1, y1, x2, y2 = codec.decode(bins)
    assert 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1


@pytest.mark.parametrize("name", CODECS)
@given(x=intervals(0.0), y=intervals(0.0))
def test_a_decoded_box_encodes_to_the_same_bins(name, x, y):
    codec = CODECS[name]
    bins = codec.bins((x[0], y[0], x[1], y[1]))
    assert codec.bins(codec.decode(bins)) == bins


@given(width=st.integers(2, 4096), data=st.data())
def test_grid_224_writes_what_the_released_formula_writes(width, data):
    x = data.draw(st.integers(0, width - 1))
    released = int(int(x * 224 / width) / 224 * 512)
    assert CODECS["radgrounder(grid=224)"].bins((x / width, 0, 1, 1))[0] == min(released, 510)


@given(width=st.integers(2, 4096), data=st.data())
def test_without_a_grid_a_coordinate_is_truncated_to_its_bin(width, data):
    x = data.draw(st.integers(0, width - 1))
    assert CODECS["radgrounder"].bins((x / width, 0, 1, 1))[0] == min(x * 512 // width, 510)


# By hand from int(int(x*224/W)/224*512), and int(x/W*512) without the grid.
@pytest.mark.parametrize(
    "x, width, released, plain",
    [(0, 512, 0, 0), (1, 512, 0, 1), (3, 512, 2, 3), (100, 512, 98, 100), (511, 512, 509, 511)]
    + [(7, 224, 16, 16), (100, 224, 228, 228), (223, 224, 509, 509), (333, 640, 265, 266)],
)
def test_released_bins(x, width, released, plain):
    assert int(int(x * 224 / width) / 224 * 512) == released
    # A large x is the right end of the box, so that the box has an area; a small x is the left end.
    box, at = ((0, 0, x / width, 1), 2) if x > 3 else ((x / width, 0, 1, 1), 0)
    assert CODECS["radgrounder(grid=224)"].bins(box)[at] == released
    assert CODECS["radgrounder"].bins(box)[at] == plain


def test_radgrounder_writes_x_first_and_paligemma_y_first():
    box = (0.25, 0.5, 0.75, 1.0)
    assert CODECS["radgrounder"].encode(box) == "<loc0128><loc0256><loc0384><loc0511>"
    assert CODECS["paligemma"].encode(box) == "<loc0512><loc0256><loc1023><loc0767>"
    for codec in CODECS.values():
        assert codec.decode(codec.bins(box)) == pytest.approx(box, abs=1 / 512)


def test_pixels_of_a_512_wide_slice_survive_exactly():
    box = (13 / 512, 77 / 512, 301 / 512, 500 / 512)
    assert CODECS["radgrounder"].decode(CODECS["radgrounder"].bins(box)) == box


def test_bin_512_is_read_as_the_border_but_not_written():
    for name in ("radgrounder", "radgrounder(grid=224)"):
        assert CODECS[name].decode((0, 0, 512, 512)) == (0, 0, 1, 1)
        assert CODECS[name].bins((0, 0, 1, 1)) == (0, 0, 511, 511)


def test_a_bin_of_another_codec_is_an_error_that_names_the_codec():
    with pytest.raises(ValueError, match="600.*radgrounder"):
        CODECS["radgrounder"].decode((0, 0, 600, 10))
    with pytest.raises(ValueError, match="4 bins"):
        CODECS["paligemma"].decode((0, 0, 10))


@pytest.mark.parametrize(
    "box, message",
    [((0, 0, 2, 1), "within 0..1"), ((0.5, 0, 0.5, 1), "no area"), ((0, 0.9, 1, 0.1), "no area")]
    + [((0, 0, float("nan"), 1), "within 0..1"), ((0, 0, 1), "a box is")],
)
def test_what_is_not_a_normalised_box_is_refused(box, message):
    with pytest.raises(ValueError, match=message):
        CODECS["radgrounder"].encode(box)


def test_a_codec_is_found_again_by_its_spec():
    for spec, codec in CODECS.items():
        assert codec.spec == spec
        assert codec_lib.get_codec(spec) == codec


@pytest.mark.parametrize("name", ["radgrounder(", "radgrounder(grid=x)", "radgrounder(bins=3)"])
def test_a_malformed_spec_is_refused(name):
    with pytest.raises(ValueError, match="no box codec"):
        codec_lib.get_codec(name)


def test_a_grid_that_contradicts_the_spec_is_refused():
    with pytest.raises(ValueError, match="grid=112"):
        codec_lib.get_codec("radgrounder(grid=224)", grid=112)


def test_an_unknown_codec_lists_those_that_exist_and_a_bad_grid_is_refused():
    with pytest.raises(ValueError, match="radgrounder.*paligemma"):
        codec_lib.get_codec("coco")
    with pytest.raises(ValueError, match="grid"):
        codec_lib.get_codec("radgrounder", grid=512)
    with pytest.raises(ValueError, match="grid"):
        codec_lib.get_codec("paligemma", grid=224)
