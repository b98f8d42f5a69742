"""Predictions as data, pictures and files."""

import numpy as np

from big_rad.dicom import read as dicom_read
from big_rad.inference import predictions
from tests.helpers.dicom_files import content, dataset
from tests.helpers.radgrounders import SIZE, grey, rectangle, with_masks

HU = np.linspace(-1000, 1500, 64 * 48).reshape(64, 48).astype(np.int16)


def test_a_prediction_without_tokens_has_no_score():
    empty = predictions.Prediction("", (), 0.0)
    assert empty.answer_score is None
    assert predictions.to_json(empty, grey(9, 9))["answer_score"] is None


def test_masks_of_an_earlier_run_do_not_stay_and_other_files_do(tmp_path):
    two = with_masks("<seg>liver</seg> <seg>spleen</seg>", [rectangle(0, 9, 0, 9)] * 2)
    predictions.write(two.report(grey(28, 28)), grey(28, 28), tmp_path, "x")
    (tmp_path / "x_mask7.png").write_bytes(b"not ours")
    assert (tmp_path / "x_mask2.png").exists()
    one = with_masks("<seg>liver</seg>", [rectangle(0, 9, 0, 9)])
    predictions.write(one.report(grey(28, 28)), grey(28, 28), tmp_path, "x")
    names = {"x.json", "x_overlay.png", "x_masks.npy", "x_mask1.png", "x_mask7.png"}
    assert {p.name for p in tmp_path.iterdir()} == names
    none = with_masks("Normal.", np.zeros((0, SIZE, SIZE)))
    predictions.write(none.report(grey(28, 28)), grey(28, 28), tmp_path, "x")
    assert {p.name for p in tmp_path.iterdir()} == {"x.json", "x_overlay.png", "x_mask7.png"}
    assert (tmp_path / "x_mask7.png").read_bytes() == b"not ours"


def test_masks_come_back_to_stored_pixels(tmp_path):
    pixels, fields = HU[:, ::-1], {"ImageOrientationPatient": [-1, 0, 0, 0, 1, 0]}
    (tmp_path / "a.dcm").write_bytes(content(dataset(pixels, RescaleIntercept=0, **fields)))
    image = dicom_read.read(tmp_path / "a.dcm")
    mask = np.zeros(HU.shape, bool)
    mask[:32, :24] = True
    entity = predictions.Entity("liver", 5, "liver", (0, 0, 24, 32), mask)
    shown, inverse = dicom_read.to_display(image)
    back = predictions.turn(predictions.Prediction("", (entity,), 0.0), inverse, HU.shape)
    np.testing.assert_array_equal(back.entities[0].mask, mask[:, ::-1])
    assert back.entities[0].box == (24, 0, 48, 32)
    drawn = (
        predictions.overlay(back, image),
        predictions.overlay(predictions.Prediction("", (entity,), 0.0), shown),
    )
    np.testing.assert_array_equal(*drawn)  # Both overlays show the image in its usual display.
