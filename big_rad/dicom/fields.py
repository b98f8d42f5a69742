"""Finds the elements that describe one frame of a DICOM file, and collects warnings about them.

An enhanced DICOM file may state the same element in the functional groups of the frame, in those
that all frames share, or in the file itself. `Fields` looks in these places in this order.
"""

import itertools
from collections.abc import Iterator
from typing import Any

from big_rad.dicom.elements import DataSet
from big_rad.dicom.errors import ReadError, TooLargeError

_GROUPS = {  # The functional group that holds an element in enhanced files.
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RescaleType": "PixelValueTransformationSequence",
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "WindowCenter": "FrameVOILUTSequence",
    "WindowWidth": "FrameVOILUTSequence",
    "VOILUTFunction": "FrameVOILUTSequence",
    "VOILUTSequence": "FrameVOILUTSequence",
}


class Fields:
    """The elements of one frame: from its own functional groups, the shared ones, or the file.

    Attributes:
        warnings: sentences that each say what was ignored or guessed.
    """

    def __init__(self, ds: DataSet, frame: int):
        """Prepares the look-up; no sequence is opened before an element in it is asked for.

        Args:
            ds: the elements of the file.
            frame: the index of the frame, from 0.
        """
        self.warnings: list[str] = []
        self._ds, self._frame = ds, frame
        self._opened: dict[str | None, list[DataSet]] = {None: [ds]}
        self._roots: list[DataSet] | None = None

    @classmethod
    def each(cls, ds: DataSet, frames: int) -> Iterator[tuple["Fields", int]]:
        """Yields the fields of the frames 0, 1, ...; each functional group is found only once.

        Args:
            ds: the elements of the file.
            frames: the number of frames.

        Yields:
            The fields, and the number of frames that they describe. This is 1 for frames with
            functional groups of their own; the frames without any come last and together.
        """
        shared = ds.item("SharedFunctionalGroupsSequence")
        own = itertools.islice(ds.items("PerFrameFunctionalGroupsSequence"), frames)
        for count, groups in enumerate(itertools.chain(own, [None])):
            rest = 1 if groups else frames - count
            if rest:
                fields = cls(ds, count)
                fields._roots = [place for place in (groups, shared) if place]
                yield fields, rest

    def of_frame(self, keyword: str) -> Any:
        """Returns the value of an element in the functional groups, or None.

        The element of the file itself is not looked at, because it may describe the first frame.
        """
        values = (place.get(keyword) for place in self._places(keyword) if place is not self._ds)
        return next((v for v in values if v is not None), None)

    def get(self, keyword: str) -> Any:
        """Returns the value of an element, or None if the element is absent or empty.

        Raises:
            ReadError: the value is not of the kind that `elements.TAGS` gives the element.
        """
        values = (place.get(keyword) for place in self._places(keyword))
        return next((v for v in values if v is not None), None)

    def optional(self, keyword: str) -> Any:
        """Returns the value of an element that the image can do without.

        The result is None if the element is absent or empty, and also, with a warning, if it is
        damaged.

        Raises:
            TooLargeError: the file has more elements than may be stepped over.
        """
        try:
            value = self.get(keyword)
            if value is None or len(value):
                return value
        except TooLargeError:
            raise
        except ReadError:
            pass
        return self.ignored(keyword)

    def ignored(self, keyword: str) -> None:
        """Adds a warning that an element is damaged and was ignored."""
        self.warn(f"{keyword} is not what the standard asks for and was ignored")

    def number(self, keyword: str) -> float | None:
        """Returns the first value of an element of numbers, or None."""
        value = self.get(keyword)
        return value[0] if value else None

    def item(self, keyword: str) -> DataSet | None:
        """Returns the first item of a sequence, or None."""
        items = (place.item(keyword) for place in self._places(keyword))
        return next((i for i in items if i is not None), None)

    def warn(self, warning: str) -> None:
        """Adds a warning if the same warning is not there yet."""
        if warning not in self.warnings:
            self.warnings.append(warning)

    def _places(self, keyword: str) -> list[DataSet]:
        group = _GROUPS.get(keyword)
        if group not in self._opened:
            if self._roots is None:
                own = self._ds.item("PerFrameFunctionalGroupsSequence", self._frame)
                shared = self._ds.item("SharedFunctionalGroupsSequence")
                self._roots = [place for place in (own, shared) if place]
            found = [place.item(group) for place in self._roots]
            self._opened[group] = [*(f for f in found if f), self._ds]
        return self._opened[group]
