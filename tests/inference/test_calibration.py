"""Tests of the file of a calibration: its place, its content, and what is refused."""

import functools
import json

import pytest

from big_rad.inference import calibration, calibration_fits
from tests.helpers import confident


@functools.cache
def made(**fields):
    some = confident.items(300) + confident.items(120, lang="de", seed=3)
    found, left_out = calibration_fits.fit_all(some, lambda line: None)
    curved = calibration.Fit({"phrase": 1.0}, 0.0, 0.01, ((-1.0, 0.2), (1.0, 0.2), (2.0, 0.9)))
    source = calibration.Source("vqa", "phantom", {"config": "demo"}, "validation", "ab", 420)
    return calibration.Calibration(
        {**found, "box": {"": curved}}, {**left_out, "mask": {"": "7 items, and a fit needs 100"}},
        (source,), 60, "", "2026-01-02", "0.1.0", ("a note",),
    )  # fmt: skip


def run(folder, steps=(10, 20), digest="one"):
    for step in steps:
        (folder / f"checkpoints/{step}/state").mkdir(parents=True)
        (folder / f"checkpoints/{step}/data").mkdir()
        text = json.dumps({"digest": f"{digest}{step}"})
        (folder / f"checkpoints/{step}/data/metadata").write_text(text)
    return folder


def test_a_file_reads_back_equal(tmp_path):
    path = tmp_path / "new" / "a.json"
    made().write(path)
    assert calibration.read(path) == made()
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]


def test_a_language_without_a_fit_takes_that_of_all_languages():
    features = {"option": 0.9, "mean_token": 0.8}
    en, de, all_, other = (made().apply("yes_no", x, features) for x in ("en", "de", "", "fr"))
    assert len({en, de, all_}) == 3 and other == all_
    assert made().apply("box", "en", {"phrase": 0.5}) == pytest.approx(0.2)


def test_no_fit_or_a_missing_feature_gives_none():
    for kind, features in (
        ("text", {"option": 0.9, "mean_token": 0.8}),
        ("mask", {"phrase": 0.5}),
        ("yes_no", {"option": 0.9}),
        ("yes_no", {"option": 0.9, "mean_token": None}),
        ("yes_no", {"option": 0.9, "mean_token": float("nan")}),
    ):
        assert made().apply(kind, "en", features) is None


@pytest.mark.parametrize(
    ("place", "value", "names"),
    [
        (("format",), "other", "`format`"),
        (("format_version",), 2, "`format_version` is 2.*install"),
        (("fits",), [], "`fits`"),
        (("fits", "yesno"), {}, "`fits.yesno`.*one of yes_no"),
        (("fits", "yes_no", "en", "weights"), {}, "`fits.yes_no.en.weights`"),
        (("fits", "yes_no", "en", "weights", "option"), "1", "`fits.yes_no.en.weights.option`"),
        (("fits", "yes_no", "en", "intercept"), None, "`fits.yes_no.en.intercept`"),
        (("fits", "yes_no", "en", "least"), 0, "`fits.yes_no.en.least`"),
        (("fits", "yes_no", "en", "figures", "n"), True, "`fits.yes_no.en.figures.n`"),
        (("fits", "box", "", "knots"), [[1, 0.5], [0, 0.9]], "`fits.box..knots`.*rising"),
        (("fits", "box", "", "knots"), [[1]], "`fits.box..knots`.*pairs"),
        (("left_out", "mask", ""), 3, "`left_out.mask.`"),
        (("sources", 0, "sha256"), 3, r"`sources\[0\].sha256`"),
        (("step",), "last", "`step`"),
        (("notes",), [1], "`notes`"),
        (("date",), None, "`date`"),
    ],
)
def test_a_damaged_field_is_named_with_the_file_and_the_remedy(tmp_path, place, value, names):
    path = tmp_path / "a.json"
    made().write(path)
    content = inner = json.loads(path.read_text())
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"a.json: its field {names}.*tools.calibrate"):
        calibration.read(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00", '{"fits": {}}'])
def test_a_file_that_is_no_calibration_is_an_error(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="a.json.*remove the file, or make it again"):
        calibration.read(path)


def test_each_step_of_a_run_has_its_own(tmp_path):
    folder = run(tmp_path)
    assert calibration.path_of(folder) == folder / "calibration/20.json"
    assert calibration.path_of(folder / "checkpoints/10") == folder / "calibration/10.json"
    made().write(calibration.path_of(folder / "checkpoints/10"))
    assert calibration.of(folder / "checkpoints/10") == made()
    assert calibration.of(folder) is None


def test_a_folder_and_an_npz_have_theirs_beside_the_weights(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "a.npz").write_bytes(b"")
    assert calibration.path_of(tmp_path) == tmp_path / "calibration.json"
    assert calibration.path_of(tmp_path / "a.npz") == tmp_path / "a.npz.calibration.json"
    assert calibration.of(tmp_path / "a.npz") is None and calibration.of(tmp_path) is None
    made().write(calibration.path_of(tmp_path))
    assert calibration.of(str(tmp_path)) == made()
    with pytest.raises(FileNotFoundError):
        calibration.of(tmp_path / "nothing")


def test_a_run_that_was_trained_again_does_not_use_the_old_one(tmp_path):
    old, new = run(tmp_path / "old"), run(tmp_path / "new", digest="two")
    made().write(calibration.path_of(new))
    path = calibration.carry(new, old)
    assert calibration.of(old).digest == "one20" and path == old / "calibration/20.json"
    assert calibration.carry(old / "checkpoints/10", new) is None
    path.replace(calibration.path_of(new))
    with pytest.raises(ValueError, match="20.json.*`digest` names other weights.*tools.calibrate"):
        calibration.of(new)
