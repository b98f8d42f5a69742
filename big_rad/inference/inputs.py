"""Reads the image that a user gives, and turns it to the display in which the model sees it.

Everything that had to be guessed or left out on the way becomes a warning, which the prediction
about the image shows to the user.
"""

import dataclasses
import pathlib

from big_rad import files
from big_rad.dicom import plausible
from big_rad.dicom import read as dicom_read
from big_rad.dicom.turns import Turn

# The formats whose grey images do not say their modality.
_WITHOUT_MODALITY = {"nifti": "NIfTI", "npy": "NPY", "png": "a grey PNG of 16 bits"}
_PICTURES = ("png", "jpeg", "npy")


def read(
    path: str | pathlib.Path,
    *,
    frame: int | None = None,
    plane: str | None = None,
    modality: str | None = None,
    offset: float = 0,
) -> dicom_read.Slice:
    """Reads an image; see `dicom.read.read`.

    Args:
        path: the file.
        frame: the frame of a multi-frame file, or the slice of a volume, from 0; None if there is
            only one.
        plane: the plane in which a volume is sliced, where None is axial. For other files, the
            plane of the slice if the file does not say it. A plane that the file says is kept, with
            a warning.
        modality: "CT", "MR" or "OT"; None takes the modality that the file says.
        offset: a number that is added to the values of CT to make them HU.

    Returns:
        The slice as it is stored. Its warnings also say what was guessed here.

    Raises:
        dicom.read.ReadError: the file cannot be used.
        ValueError: neither the file nor `modality` says the modality, or `offset` is given for an
            image whose values are not HU. The message names the option of the command line.
    """
    path = pathlib.Path(path)
    path = files.find(pathlib.Path(path.anchor), path.relative_to(path.anchor).as_posix())
    try:
        found = dicom_read.read(
            path, frame=frame, plane=plane or "axial", modality=modality, offset=offset
        )
    except dicom_read.FrameError as e:
        more = " and --plane, --modality for a volume" if modality is None or plane is None else ""
        raise dicom_read.FrameError(f"{e} (option --frame{more})") from None
    grey = found.pixels.ndim == 2
    if modality is None and grey and found.format in _WITHOUT_MODALITY:
        raise ValueError(
            f"{path.name}: {_WITHOUT_MODALITY[found.format]} does not say the modality; give "
            '--modality=CT (values in HU), MR or OT; in Python, inputs.read(path, modality="CT")'
        )
    if offset and found.units != "HU":
        why = plausible.why_not_hu(found.modality, found.units)
        raise ValueError(f"{path.name}: --offset is for grey values of CT, {why}; leave it out")
    warnings = list(found.warnings)
    if modality is None and not found.stated and found.format in _PICTURES:
        warnings.append(
            "the file does not say its modality and is taken for OT; it is a picture of 8 bits, "
            "shown in its colours or grey values whatever modality is given with --modality"
        )
    if doubt := plausible.picture(found.modality, found.units, None):
        warnings.append(doubt)
    if found.units == "HU" and (look := plausible.look(found.pixels)):
        warnings.append(plausible.doubt(look, found.pixels))
    if plane and found.format != "nifti" and not found.plane and not found.orientation:
        found = dataclasses.replace(found, plane=plane)
    elif plane and found.format != "nifti" and plane != found.plane:
        said = found.plane or "oblique"
        warnings.append(f"the slice is {said} by the file, so --plane={plane} is not used")
    return dataclasses.replace(found, warnings=tuple(warnings))


def to_model(
    image: dicom_read.Slice, as_stored: bool
) -> tuple[dicom_read.Slice, Turn, tuple[str, ...]]:
    """Turns an image to the display in which the model sees it.

    Args:
        image: the image as it is stored.
        as_stored: whether the model sees the image as it is stored, without a turn.

    Returns:
        The image for the model, the turn that brings boxes and masks back to stored pixels, and
        the warnings about the image.
    """
    warnings = list(image.warnings)
    unusual = dicom_read.unusual(image.orientation, image.plane)
    if as_stored and (unusual or image.exif != 1):
        what = unusual or "up, down, left or right"
        warnings.append(f"{what} are not as usually shown, and the model sees it so (--as_stored)")
    if image.format == "dicom" and image.modality in ("CT", "MR") and not image.orientation:
        warnings.append(
            "the file does not say how the patient lies (ImageOrientationPatient), so the model "
            "sees the image as it is stored"
        )
    if image.orientation and not image.plane:
        warnings.append("the slice is oblique and is shown as the plane nearest to it")
    displayed, to_stored = (image, Turn()) if as_stored else dicom_read.to_display(image)
    return displayed, to_stored, tuple(warnings)
