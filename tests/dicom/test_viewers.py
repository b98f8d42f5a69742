"""Cornerstone's adapters, with which OHIF reads SR and SEG, find boxes and masks where they are.

They are JavaScript and 100 MB with what they need, so this runs only on request:

    mkdir viewers; cd viewers; npm install @cornerstonejs/adapters@5.14 @babel/runtime@7
    BIG_RAD_CORNERSTONE=$PWD python -m pytest tests/dicom/test_viewers.py
"""

import json
import os
import pathlib
import shutil
import subprocess

import numpy as np
import pytest

from big_rad.dicom.segmentation import Segment, segmentation
from big_rad.dicom.structured_report import Box, structured_report
from tests.helpers import dicom_objects as made

pytest.importorskip("highdicom", reason="pip install 'big_rad[dicom]'")
FOLDER = os.environ.get("BIG_RAD_CORNERSTONE")
SCRIPT = pathlib.Path(made.__file__).parent / "cornerstone.mjs"
pytestmark = pytest.mark.skipif(
    not FOLDER or not shutil.which("node"),
    reason="needs node, and in BIG_RAD_CORNERSTONE a folder with @cornerstonejs/adapters",
)


def plane(ds):
    """What a viewer knows of an image."""
    orientation = [float(v) for v in ds.ImageOrientationPatient]
    return {
        "sopInstanceUID": ds.SOPInstanceUID,
        "seriesInstanceUID": ds.SeriesInstanceUID,
        "frameOfReferenceUID": ds.FrameOfReferenceUID,
        "rows": ds.Rows,
        "columns": ds.Columns,
        "imagePositionPatient": [float(v) for v in ds.ImagePositionPatient],
        "imageOrientationPatient": orientation,
        "rowCosines": orientation[:3],
        "columnCosines": orientation[3:],
        "rowPixelSpacing": float(ds.PixelSpacing[0]),
        "columnPixelSpacing": float(ds.PixelSpacing[1]),
        "pixelSpacing": [float(v) for v in ds.PixelSpacing],
    }


def along(headers):
    """The numbers of the headers in the order in which a viewer sorts their images."""
    normal = np.cross(*np.reshape(headers[0].ImageOrientationPatient, (2, 3)).astype(float))
    places = [float(np.dot(normal, np.array(ds.ImagePositionPatient, float))) for ds in headers]
    return [int(k) for k in np.argsort(places)]


def seen(folder, headers, boxes, segments):
    """What the adapters make of an SR with boxes and of a SEG with masks."""
    planes = [plane(headers[k]) for k in along(headers)]
    (folder / "headers.json").write_text(json.dumps(planes))
    structured_report(headers, boxes, made.ORIGIN).save(folder / "sr.dcm")
    segmentation(headers, segments, made.ORIGIN).save(folder / "seg.dcm")
    shutil.copy(SCRIPT, folder)
    os.symlink(pathlib.Path(FOLDER).resolve() / "node_modules", folder / "node_modules")
    names = ("headers.json", "sr.dcm", "seg.dcm")
    done = subprocess.run(
        ["node", folder / SCRIPT.name, *(folder / n for n in names)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("overlap", [False, True])
def test_cornerstone_finds_boxes_and_masks_where_they_are(tmp_path, overlap):
    headers, labels = made.turned(
        *made.phantom(tmp_path / "phantom"), (1, 0, 2), (True, False, True)
    )
    height, width = labels.shape[1:]
    assert height != width
    boxes = [
        Box(3, "linke Niere, größer", (1.25, 2.5, 5, 6.75), 4, confidence=0.8),
        Box(5, "liver", (0, 0, width, height), 2),
    ]
    segments = made.segments_of(labels, (2, 3, 5))
    if overlap:
        # One that begins first and ends first, and has another one's slices in its own gap.
        segments.insert(0, Segment(7, "two", "two", {9: labels[9] > 0, 15: labels[15] > 0}))
        segments.append(Segment(6, "one", "one", {0: labels[12] > 0, 11: labels[12] > 0}))
        segments.append(Segment(0, "Läsion", "all", {10: labels[10] > 0}))
    found = seen(tmp_path, headers, boxes, segments)
    for box, got in zip(boxes, found["boxes"], strict=True):
        x1, y1, x2, y2 = box.box
        corners = [(x1, y1), (x2, y1), (x1, y2), (x2, y2)]
        assert np.abs(np.subtract(got["corners"], corners)).max() < 1e-3
        assert got["image"] == headers[box.image].SOPInstanceUID
        assert got["label"] == box.comment("en")
    masks, order = found["masks"], along(headers)
    assert sorted(masks["labels"]) == sorted(s.label for s in segments)
    expected = {
        f"{masks['labels'].index(segment.label) + 1}:{order.index(index)}": np.flatnonzero(
            mask
        ).tolist()
        for segment in segments
        for index, mask in segment.masks.items()
        if mask.any()
    }
    assert {key: sorted(at) for key, at in masks["pixels"].items()} == expected
