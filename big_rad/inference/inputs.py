"""Reads the image that a user gives, and turns it to the display in which the model sees it.

An image may be a file, a DICOM object of pydicom, an array, or a slice that was read before.

Everything that had to be guessed or left out on the way becomes a warning, which the prediction
about the image shows to the user.
"""

import copy
import dataclasses
import io
import pathlib

import numpy as np
import pydicom

from big_rad import files
from big_rad.dicom import plausible
from big_rad.dicom import read as dicom_read
from big_rad.dicom.turns import Turn

# The formats whose grey images do not say their modality.
_WITHOUT_MODALITY = {"nifti": "NIfTI", "npy": "NPY", "png": "a grey PNG of 16 bits"}
_PICTURES = ("png", "jpeg", "npy")

Image = str | pathlib.Path | bytes | pydicom.Dataset | np.ndarray | dicom_read.Slice


def read(
    image: Image,
    *,
    frame: int | None = None,
    plane: str | None = None,
    modality: str | None = None,
    offset: float = 0,
    name: str = "the given bytes",
) -> dicom_read.Slice:
    """Reads an image; see `dicom.read.read`.

    Args:
        image: a file or its content, a DICOM object with its pixels, or an array, which is read as
            an NPY file would be: grey [H, W], or colours uint8 [H, W, 3]. A slice that was read
            before is returned as it is, and takes no further arguments.
        frame: the frame of a multi-frame file, or the slice of a volume, from 0; None if there is
            only one.
        plane: the plane in which a volume is sliced, where None is axial. For other files, the
            plane of the slice if the file does not say it. A plane that the file says is kept, with
            a warning.
        modality: "CT", "MR" or "OT"; None takes the modality that the file says. A grey array
            says none, so give it.
        offset: a number that is added to the values of CT to make them HU.
        name: what messages call an image that is given as bytes.

    Returns:
        The slice as it is stored. Its warnings also say what was guessed here.

    Raises:
        dicom.read.ReadError: the file cannot be used.
        TypeError: `image` is of another type.
        ValueError: neither the file nor `modality` says the modality, or `offset` is given for an
            image whose values are not HU. The message names the option of the command line.
    """
    if isinstance(image, dicom_read.Slice):
        if (frame, plane, modality, offset) != (None, None, None, 0):
            raise ValueError(
                "the slice was read before, so frame, plane, modality and offset cannot change it: "
                "give them where it is read"
            )
        return image
    content, name = _content(image, name)
    given = dict(frame=frame, plane=plane or "axial", modality=modality, offset=offset)
    try:
        found = dicom_read.read(content, **given, name=name)
    except dicom_read.FrameError as e:
        more = " and --plane, --modality for a volume" if modality is None or plane is None else ""
        raise dicom_read.FrameError(f"{e} (option --frame{more})") from None
    grey = found.pixels.ndim == 2
    if modality is None and grey and found.format in _WITHOUT_MODALITY:
        raise ValueError(
            f"{name}: {_WITHOUT_MODALITY[found.format]} does not say the modality; give "
            '--modality=CT (values in HU), MR or OT; in Python, inputs.read(image, modality="CT")'
        )
    if offset and found.units != "HU":
        why = plausible.why_not_hu(found.modality, found.units)
        raise ValueError(f"{name}: --offset is for grey values of CT, {why}; leave it out")
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


def _content(image: Image, name: str) -> tuple[pathlib.Path | bytes, str]:
    # Returns what `dicom.read` reads, and the name of the image in messages.
    if isinstance(image, str | pathlib.Path):
        path = pathlib.Path(image)
        path = files.find(pathlib.Path(path.anchor), path.relative_to(path.anchor).as_posix())
        return path, path.name
    if isinstance(image, bytes):
        return image, name
    stream = io.BytesIO()
    if isinstance(image, np.ndarray):
        np.save(stream, image, allow_pickle=False)
        return stream.getvalue(), "the given array"
    if not isinstance(image, pydicom.Dataset):
        raise TypeError(
            f"an image is a {type(image).__name__}; give a path, the bytes of a file, a DICOM "
            "object of pydicom, an array, or what inputs.read returns"
        )
    meta = getattr(image, "file_meta", None)
    if meta is None or "TransferSyntaxUID" not in meta:
        raise ValueError(
            "the DICOM object has no file_meta.TransferSyntaxUID, so its pixels cannot be "
            "understood; set it as the sender states it, or give the file"
        )
    own = copy.copy(image)  # Writing adds elements to the object.
    own.file_meta = copy.deepcopy(meta)
    try:
        own.save_as(stream, enforce_file_format=True)
    except Exception as e:  # Messages of pydicom may quote values that name a patient.
        raise dicom_read.ReadError(
            f"the DICOM object cannot be written as a file ({type(e).__name__}), so it is not "
            "complete; give the file itself"
        ) from None
    return stream.getvalue(), "the given DICOM object"


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
