"""Writes boxes as a DICOM structured report (SR), one object for the images of a study.

The object is a Comprehensive 3D SR after template TID 1500. Each box is a measurement group with a
closed polygon of five points in pixels of its image (SCOORD). DICOM puts (0, 0) at the outer corner
of the first pixel (PS3.3 C.18.6.1.2), as we do, so that the edges of a box are written as they are.

A confidence is text in a comment. As a number in the group it would hide the box: Cornerstone,
which draws for OHIF, looks for the coordinates of a box inside the first number.

    boxes = [Box(3, "left kidney", (12.0, 30.0, 80.5, 91.0), 0, confidence=0.81)]
    made = structured_report(headers, boxes, origin)
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pydicom

from big_rad.dicom import codes, objects, sources
from big_rad.dicom.codes import Code
from big_rad.dicom.errors import WriteError
from big_rad.dicom.objects import Origin, Written

# Cornerstone draws a group with this identifier as a rectangle that can be edited.
TRACKING_IDENTIFIER = "Cornerstone3DTools@^0.1.0:RectangleROI"
_TITLE = Code("126000", "Imaging Measurement Report", "DCM")
_COMMENT = Code("121106", "Comment", "DCM")
_BOUNDED_BY = Code("75958009", "Bounded by")
_PROCEDURES = {
    "CT": Code("25045-6", "CT unspecified body region", "LN"),
    "MR": Code("25056-3", "MRI unspecified body region", "LN"),
}
_ANY_PROCEDURE = Code("363679005", "Imaging")
_WORDS = {
    "en": ("confidence", "uncalibrated", "region", "AI, unverified"),
    "de": ("Konfidenz", "nicht kalibriert", "Region", "KI, ungeprüft"),
}
_PROJECTIONS = ("CR", "DX", "IO", "MG", "PX", "RF", "RG", "XA")


@dataclasses.dataclass(frozen=True)
class Box:
    """One box on one image.

    Attributes:
        class_id: the class id, 1..121, or 0 if the class is unknown.
        phrase: the words that the box belongs to.
        box: (x1, y1, x2, y2) in pixels of the stored image, with x2 and y2 exclusive.
        image: the number of the image in the sources, from 0; in a multi-frame source the number of
            the frame, from 0.
        confidence: the confidence in 0..1; None if there is none.
        calibrated: whether the confidence is calibrated.
        region: the number of the region that the box belongs to; None if it belongs to none.
    """

    class_id: int
    phrase: str
    box: tuple[float, float, float, float]
    image: int
    confidence: float | None = None
    calibrated: bool = False
    region: int | None = None

    def comment(self, language: str) -> str:
        """Returns what is said of the box, such as "liver, confidence 0.81, AI, unverified"."""
        confidence, uncalibrated, region, note = _WORDS[language]
        parts = [" ".join(self.phrase.split())]
        if self.confidence is not None:
            doubt = "" if self.calibrated else f" ({uncalibrated})"
            parts.append(f"{confidence} {self.confidence:.2f}{doubt}")
        if self.region is not None:
            parts.append(f"{region} {self.region}")
        return ", ".join(filter(None, (*parts, note)))


def structured_report(
    images: Sequence[pydicom.Dataset],
    boxes: Sequence[Box],
    origin: Origin,
    series_number: int = 902,
) -> Written | None:
    """Returns boxes as one DICOM SR object, complete but preliminary and unverified.

    Args:
        images: the headers of the images of one study, or the header of one multi-frame image.
            Pixels are not needed.
        boxes: the boxes, in the order in which a viewer lists them.
        origin: what made the boxes. Its language is that of the phrases and of the comments.
        series_number: the number of the new series.

    Returns:
        The object with remarks; None if there is no box.

    Raises:
        SourceError: the headers lack what the object has to say, see `sources.check`.
        WriteError: a box or a class is impossible.
        MissingPackageError: highdicom is not installed.
    """
    if not boxes:
        return None
    source = sources.check(images, "SR", [b.image for b in boxes])
    shapes = {i: _shape(images[0 if source.multiframe else i]) for i in source.shown}
    for box in boxes:
        _check_box(box, shapes[box.image])
    sr = objects.package("sr")
    role = f"SR {origin.language} {origin.created.isoformat()}"
    names = {what: objects.uid(origin, source.instances, f"{role} {what}")
             for what in ("series", "instance")}  # fmt: skip
    with objects.guarded("a DICOM SR"):
        evidence, library = _evidence(images, source)
        groups = [
            _group(sr, number, box, origin, source, role)
            for number, box in enumerate(boxes, start=1)
        ]
        made = sr.Comprehensive3DSR(
            evidence=evidence,
            content=_content(sr, groups, library, origin, source.header.Modality),
            series_instance_uid=names["series"],
            series_number=series_number,
            sop_instance_uid=names["instance"],
            instance_number=1,
            is_complete=True,
            is_final=False,
            is_verified=False,
            series_description=f"Boxes, {objects.NOTE}",
            **objects.equipment(origin),
        )
        wrong = objects.finish(made, origin)
    return Written(made, source.remarks + wrong)


def polygon(box: tuple[float, float, float, float]) -> np.ndarray:
    """Returns the corners of a box [5, 2] as (column, row), clockwise, the first one twice."""
    x1, y1, x2, y2 = box
    return np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)], np.float64)


def _shape(ds: pydicom.Dataset) -> tuple[int, int]:
    return int(ds.Rows), int(ds.Columns)


def _check_box(box: Box, shape: tuple[int, int]) -> None:
    height, width = shape
    x1, y1, x2, y2 = box.box
    inside = all(map(math.isfinite, box.box)) and 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
    if not inside:
        raise WriteError(
            f"the box {box.box} of {box.phrase!r} is empty or leaves its image of {width} x "
            f"{height} pixels; give (x1, y1, x2, y2) with 0 <= x1 < x2 <= {width} and 0 <= y1 < y2 "
            f"<= {height}"
        )
    if not 0 <= box.class_id <= 121:
        raise WriteError(f"class id {box.class_id} is not in 0..121 (0: unknown class)")
    if box.confidence is not None and not 0 <= box.confidence <= 1:
        raise WriteError(f"the confidence {box.confidence} of {box.phrase!r} is not in 0..1")


def _content(
    sr: Any, groups: list[Any], library: list[pydicom.Dataset], origin: Origin, modality: str
) -> Any:
    """Returns the content of the report (TID 1500)."""
    language = Code(origin.language, objects.LANGUAGES[origin.language], "RFC5646")
    return sr.MeasurementReport(
        observation_context=_observer(sr, origin),
        procedure_reported=objects.concept(_PROCEDURES.get(modality, _ANY_PROCEDURE)),
        imaging_measurements=groups,
        title=objects.concept(_TITLE),
        language_of_content_item_and_descendants=sr.LanguageOfContentItemAndDescendants(
            objects.concept(language)
        ),
        referenced_images=library,
    )


def _group(
    sr: Any, number: int, box: Box, origin: Origin, source: sources.Source, role: str
) -> Any:
    """Returns the measurement group of a box (TID 1410)."""
    code, frame = codes.of_class(box.class_id), source.frames[box.image]
    region = sr.ImageRegion(
        graphic_type=sr.GraphicTypeValues.POLYLINE,
        graphic_data=polygon(box.box),
        source_image=sr.SourceImageForRegion(
            referenced_sop_class_uid=frame.sop_class,
            referenced_sop_instance_uid=frame.instance,
            referenced_frame_numbers=None if frame.number is None else [frame.number],
        ),
    )
    site = sr.FindingSite(
        anatomic_location=objects.concept(code.site),
        laterality=objects.concept(code.side) if code.side else None,
    )
    group = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            # Viewers merge boxes that have the same one.
            uid=objects.uid(origin, source.instances, f"{role} box {number}"),
            identifier=TRACKING_IDENTIFIER,
        ),
        referenced_region=region,
        finding_type=objects.concept(code.type),
        finding_category=objects.concept(code.category),
        finding_sites=[site] if box.class_id else None,
        geometric_purpose=objects.concept(_BOUNDED_BY),
        algorithm_id=sr.AlgorithmIdentification(
            name=objects.long_string(origin.algorithm), version=objects.long_string(origin.version)
        ),
    )
    group[0].ContentSequence.append(
        sr.TextContentItem(
            name=objects.concept(_COMMENT),
            value=box.comment(origin.language),
            relationship_type=sr.RelationshipTypeValues.CONTAINS,
        )
    )
    return group


def _observer(sr: Any, origin: Origin) -> Any:
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=objects.uid(dataclasses.replace(origin, options=""), (), "device"),
        name=objects.long_string(origin.algorithm),
        manufacturer_name=objects.MANUFACTURER,
        model_name=objects.long_string(f"{origin.algorithm} {origin.version}"),
        serial_number=objects.long_string(origin.fingerprint),
    )
    context = sr.ObserverContext(
        observer_type=objects.concept(Code("121007", "Device", "DCM")),
        observer_identifying_attributes=device,
    )
    return sr.ObservationContext(observer_device_context=context)


def _evidence(
    images: Sequence[pydicom.Dataset], source: sources.Source
) -> tuple[list[pydicom.Dataset], list[pydicom.Dataset]]:
    """Returns the images that the boxes refer to, and those of the image library.

    OHIF needs the library. highdicom describes its images by attributes that a multi-frame image
    has in its frames only, so a stand-in has those of the first used frame.
    """
    evidence, library = [source.header], []
    for i in source.shown[:1] if source.multiframe else source.shown:
        frame, ds = source.frames[i], source.header if source.multiframe else images[i]
        entry = pydicom.Dataset()
        entry.StudyInstanceUID, entry.SeriesInstanceUID = ds.StudyInstanceUID, ds.SeriesInstanceUID
        entry.SOPClassUID, entry.SOPInstanceUID = frame.sop_class, frame.instance
        # A projection is not described: highdicom would need attributes that many lack.
        entry.Modality = "OT" if ds.Modality in _PROJECTIONS else ds.Modality
        entry.Rows, entry.Columns = ds.Rows, ds.Columns
        if ds.get("FrameOfReferenceUID"):
            entry.FrameOfReferenceUID = ds.FrameOfReferenceUID
        if source.placed:
            entry.PixelSpacing, entry.SliceThickness = frame.spacing, frame.thickness
            entry.ImageOrientationPatient = frame.orientation
            entry.ImagePositionPatient = frame.position
        library.append(entry)
        if len(library) > 1:  # The first one is `source.header`.
            evidence.append(entry)
    return evidence, library
