"""Writes masks as a DICOM segmentation (SEG), one object for a series.

The object is BINARY, which every viewer reads and in which segments may overlap. Its frames have
the pixels and the place of their source images. highdicom builds it; `objects` makes its UIDs and
dates the same each time, and `sources` checks the headers of the source.

    segments = [Segment(3, "left kidney", "kidney_left 1", {12: mask, 13: next_mask})]
    made = segmentation(headers, segments, origin)
    if made is not None:
        made.save("series_seg.dcm")
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pydicom
from jaxtyping import Bool

from big_rad.dicom import codes, objects, sources
from big_rad.dicom.errors import WriteError
from big_rad.dicom.objects import Origin, Written

_MODIFIER = "SegmentedPropertyTypeModifierCodeSequence"
_MOST_SEGMENTS = 65535  # A segment number is a 16-bit word.


@dataclasses.dataclass(frozen=True)
class Segment:
    """One segment: a class, or a region that was joined over slices.

    Attributes:
        class_id: the class id, 1..121, or 0 if the class is unknown.
        label: the name that a viewer shows, such as "left kidney".
        tracking_id: a name of the segment that no other segment of the object has.
        masks: the masks in stored pixels by the number of their image in the sources, from 0; in a
            multi-frame source by the number of the frame, from 0.
    """

    class_id: int
    label: str
    tracking_id: str
    masks: Mapping[int, Bool[np.ndarray, "height width"]]


def segmentation(
    images: Sequence[pydicom.Dataset],
    segments: Sequence[Segment],
    origin: Origin,
    series_number: int = 901,
) -> Written | None:
    """Returns masks as one DICOM SEG object.

    Blank masks are left out, and so is a segment all of whose masks are blank, because viewers
    cannot load a segment without frames. The object has frames only where a segment has pixels.

    Args:
        images: the headers of the images of one series in any order, or the header of one
            multi-frame image. Pixels are not needed.
        segments: the segments. Their order is that of the segment numbers, unless some overlap:
            then they are numbered by where they end, see `_for_viewers`.
        origin: what made the masks.
        series_number: the number of the new series.

    Returns:
        The object with remarks; None if there is no segment or all masks are blank.

    Raises:
        SourceError: the headers lack what the object has to say, see `sources.check`.
        WriteError: a mask, a class or a tracking identifier is impossible.
        MissingPackageError: highdicom is not installed.
    """
    _check_segments(segments)
    kept, remarks = _without_blank(segments)
    if not kept:
        return None
    source = sources.check(images, "SEG", {index for s in kept for index in s.masks})
    used = source.shown
    _check_shapes(kept, source)
    pixels = _pixels(kept, used, source.shape)
    if pixels is None:
        kept = _for_viewers(kept, source)
        pixels = _stacked(kept, used, source.shape)
    hd, seg = objects.package(), objects.package("seg")
    role = f"SEG {origin.created.isoformat()}"
    names = {what: objects.uid(origin, source.instances, f"{role} {what}")
             for what in ("series", "instance", "dimension")}  # fmt: skip
    with objects.guarded("a DICOM SEG"):
        described = [
            _describe(hd, seg, number, segment, origin, source, role)
            for number, segment in enumerate(kept, start=1)
        ]
        made = seg.Segmentation(
            source_images=_stand_ins(source, used),
            pixel_array=pixels,
            segmentation_type="BINARY",
            segment_descriptions=described,
            series_instance_uid=names["series"],
            series_number=series_number,
            sop_instance_uid=names["instance"],
            instance_number=1,
            content_label="AI_UNVERIFIED",
            content_description=objects.NOTE,
            series_description=f"Segmentation, {objects.NOTE}",
            **objects.equipment(origin),
        )
        _correct(made, source, used, names["dimension"])
        wrong = objects.finish(made, origin)
    long = [s.label for s in kept if objects.long_string(s.label) != s.label]
    remarks += [f"the label {label!r} was shortened to 64 characters" for label in long]
    return Written(made, source.remarks + wrong + tuple(remarks))


def _check_segments(segments: Sequence[Segment]) -> None:
    if len(segments) > _MOST_SEGMENTS:
        raise WriteError(f"a SEG has at most {_MOST_SEGMENTS} segments, not {len(segments)}")
    seen = set()
    for segment in segments:
        if not 0 <= segment.class_id <= 121:
            raise WriteError(f"class id {segment.class_id} is not in 0..121 (0: unknown class)")
        if not objects.long_string(segment.label):
            raise WriteError(f"segment {segment.tracking_id!r} has no label; give it a name")
        if not segment.tracking_id.strip() or segment.tracking_id in seen:
            raise WriteError(
                f"tracking identifier {segment.tracking_id!r} is empty or occurs twice; viewers "
                "merge what has the same one"
            )
        seen.add(segment.tracking_id)


def _without_blank(segments: Sequence[Segment]) -> tuple[list[Segment], list[str]]:
    """Returns the segments without blank masks, and a remark about each that is gone."""
    kept, remarks = [], []
    for segment in segments:
        masks = {int(i): mask for i, mask in segment.masks.items() if np.any(mask)}
        if masks:
            kept.append(dataclasses.replace(segment, masks=masks))
        else:
            remarks.append(f"the mask of {segment.label!r} is blank; it is left out of the SEG")
    return kept, remarks


def _check_shapes(segments: Sequence[Segment], source: sources.Source) -> None:
    for segment in segments:
        for index, mask in segment.masks.items():
            if mask.shape != source.shape or mask.dtype != bool:
                raise WriteError(
                    f"the mask of {segment.label!r} on image {index + 1} is {mask.dtype} "
                    f"{mask.shape}; the stored image needs bool {source.shape}"
                )


def _for_viewers(segments: Sequence[Segment], source: sources.Source) -> list[Segment]:
    """Returns overlapping segments in the order of their last images along the normal.

    Cornerstone 5.14, with which OHIF reads a SEG, lays such segments over each other one by one, in
    the order of their numbers. Where a segment begins before an earlier one, and that one ends
    later, it loses pixels without a word (seen in a test). In this order none is lost, as long as
    the viewer sorts its images along the normal, as OHIF does for volumes.
    """

    def end(segment: Segment) -> float:
        frames = [source.frames[index] for index in segment.masks]
        if any(f.position is None or f.orientation is None for f in frames):
            return max(segment.masks)
        across, down = np.reshape([float(v) for v in frames[0].orientation], (2, 3))
        normal = np.cross(across, down)
        return max(float(np.dot(normal, [float(v) for v in f.position])) for f in frames)

    return sorted(segments, key=end)


def _pixels(
    segments: Sequence[Segment], used: Sequence[int], shape: tuple[int, int]
) -> np.ndarray | None:
    """Returns label maps [used, H, W]; None if segments overlap."""
    place = {index: row for row, index in enumerate(used)}
    labels = np.zeros((len(used), *shape), np.uint8 if len(segments) < 256 else np.uint16)
    for number, segment in enumerate(segments, start=1):
        for index, mask in segment.masks.items():
            if labels[place[index]][mask].any():
                return None
            labels[place[index]][mask] = number
    return labels


def _stacked(
    segments: Sequence[Segment], used: Sequence[int], shape: tuple[int, int]
) -> np.ndarray:
    """Returns masks [used, H, W, segments], which may overlap."""
    place = {index: row for row, index in enumerate(used)}
    masks = np.zeros((len(place), *shape, len(segments)), bool)
    for number, segment in enumerate(segments):
        for index, mask in segment.masks.items():
            masks[place[index], :, :, number] = mask
    return masks


def _describe(
    hd: Any,
    seg: Any,
    number: int,
    segment: Segment,
    origin: Origin,
    source: sources.Source,
    role: str,
) -> Any:
    """Returns the description of a segment, with its codes."""
    code = codes.of_class(segment.class_id)
    made = seg.SegmentDescription(
        segment_number=number,
        segment_label=objects.long_string(segment.label),
        segmented_property_category=objects.concept(code.category),
        segmented_property_type=objects.concept(code.type),
        algorithm_type="AUTOMATIC",
        algorithm_identification=objects.algorithm(origin),
        tracking_uid=objects.uid(
            origin, source.instances, f"{role} segment {segment.class_id} {segment.tracking_id}"
        ),
        tracking_id=segment.tracking_id,
        anatomic_regions=[objects.concept(code.region)] if code.region else None,
        display_color=hd.color.CIELabColor.from_rgb(*code.colour),
    )
    if code.side and code.region:
        made.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [objects.concept(code.side)]
    elif code.side:  # highdicom has no argument for it.
        setattr(made.SegmentedPropertyTypeCodeSequence[0], _MODIFIER, [objects.concept(code.side)])
    return made


def _stand_ins(source: sources.Source, used: Sequence[int]) -> list[pydicom.Dataset]:
    """Returns headers with the used images or frames only, for highdicom.

    highdicom takes the geometry of all images from the first, and it refuses a multi-frame image
    whose frames lie partly at the same place. `sources.check` has compared the used ones.
    """
    frames = [source.frames[i] for i in used]
    first = frames[0]
    thick = {str(f.thickness) for f in frames}
    measures = {"PixelSpacing": first.spacing}
    measures["SliceThickness"] = first.thickness if len(thick) == 1 else None
    if len(source.frames) > 1:
        measures["SpacingBetweenSlices"] = source.apart
    if source.multiframe:
        return [_multiframe(source, frames, measures)]
    result = []
    for frame in frames:
        ds = pydicom.Dataset()
        ds.update(source.header)
        values = {"SOPClassUID": frame.sop_class, "SOPInstanceUID": frame.instance}
        if source.placed:
            values |= measures | {
                "ImagePositionPatient": frame.position,
                "ImageOrientationPatient": first.orientation,
            }
        for keyword, value in values.items():
            # An attribute assigned by name would change the element that all images share.
            ds.add_new(keyword, pydicom.datadict.dictionary_VR(keyword), value)
        result.append(ds)
    return result


def _multiframe(
    source: sources.Source, frames: Sequence[sources.Frame], measures: Mapping[str, Any]
) -> pydicom.Dataset:
    ds = pydicom.Dataset()
    ds.update(source.header)
    shared, orientation, sizes = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    orientation.ImageOrientationPatient = frames[0].orientation
    for keyword, value in measures.items():
        if value is not None:
            setattr(sizes, keyword, value)
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [sizes]
    each = []
    for frame in frames:
        position, item = pydicom.Dataset(), pydicom.Dataset()
        position.ImagePositionPatient = frame.position
        item.PlanePositionSequence = [position]
        each.append(item)
    ds.SharedFunctionalGroupsSequence, ds.PerFrameFunctionalGroupsSequence = [shared], each
    ds.add_new("NumberOfFrames", "IS", len(frames))
    return ds


def _correct(
    made: pydicom.Dataset, source: sources.Source, used: Sequence[int], dimension: str
) -> None:
    """Replaces what highdicom drew, and what it took from the used images alone."""
    made.ContentCreatorName = None  # Type 2: nobody drew the segments.
    made.DimensionOrganizationSequence[0].DimensionOrganizationUID = dimension
    for index in made.DimensionIndexSequence:
        index.DimensionOrganizationUID = dimension
    if not source.placed:  # Type 2C: the image may be of any orientation.
        made.PatientOrientation = None
        return
    # highdicom measures the distance of the used slices, between which others may lie.
    steps = sources.steps([source.frames[i] for i in used])
    if source.apart is None or any(abs(s - source.apart) > 0.01 * source.apart for s in steps):
        made.pop("DimensionOrganizationType", None)
    sizes = made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    if len(source.frames) > 1 and source.apart is None:
        sizes.pop("SpacingBetweenSlices", None)
    if source.multiframe:
        for item in made.PerFrameFunctionalGroupsSequence:
            for derived in item.DerivationImageSequence:
                for ref in derived.SourceImageSequence:
                    number = source.frames[used[int(ref.ReferencedFrameNumber) - 1]].number
                    ref.ReferencedFrameNumber = number
