"""Small DICOM series for tests."""

import numpy as np

from big_rad.dicom.reader import Reader
from big_rad.dicom.series import find
from tests.helpers.dicom_files import content, dataset

AXIAL = (1, 0, 0, 0, 1, 0)
CORONAL = (1, 0, 0, 0, 0, -1)
SAGITTAL = (0, 1, 0, 0, 0, -1)
SERIES = "1.2.826.0.1.77"  # The SeriesInstanceUID, unless another one is given.
OBJECT = "1.2.826.0.1.88"  # The SOPInstanceUIDs begin with it.


def slice_file(path, z, *, number=1, orientation=AXIAL, place=None, fill=0, **fields):
    """Writes one slice of 3 x 4 pixels and returns its path.

    Args:
        path: the file.
        z: its position along the normal in mm; None if the file does not say where it lies.
        number: its InstanceNumber; the SOPInstanceUID holds it, too.
        orientation: the ImageOrientationPatient; None leaves it out.
        place: the ImagePositionPatient; None calculates it from `z`.
        fill: the stored value of its pixels.
        fields: further elements; those that are None are left out.
    """
    if place is None and z is not None and orientation is not None:
        across = np.abs(np.cross(orientation[:3], orientation[3:]))
        place = [float(v) for v in across * z]
    elements = {
        "SeriesInstanceUID": SERIES, "SOPInstanceUID": f"{OBJECT}.{number}",
        "InstanceNumber": number, "ImagePositionPatient": place, "PixelSpacing": [2.0, 1.5],
        "ImageOrientationPatient": None if orientation is None else [*map(float, orientation)],
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((3, 4), fill, np.int16)
    path.write_bytes(content(dataset(pixels, **elements | fields)))
    return path


def series_files(folder, heights, **fields):
    """Writes a slice at each of several positions; the pixels of a slice hold its number."""
    return [
        slice_file(folder / f"IM{k + 1}.dcm", z, number=k + 1, fill=k + 1, **fields)
        for k, z in enumerate(heights)
    ]


def one(paths, **options):
    """The only series in the paths."""
    found = find(paths, **options)
    assert len(found.series) == 1, found
    return found.series[0]


def places(series):
    return [ref.position for ref in series.slices]


def numbers(series):
    """The number in the pixels of each slice, see `series_files`."""
    return [int(image.pixels[0, 0]) + 1024 for image in map(Reader(), series.slices)]
