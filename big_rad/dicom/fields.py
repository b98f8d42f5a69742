"""The elements that describe one frame of a DICOM file, wherever they are; and what was ignored.

Knows nothing of pixels, and of values only how to fetch them.
"""

from typing import Any

from big_rad.dicom.elements import DataSet
from big_rad.dicom.errors import ReadError, TooLargeError

_GROUPS = {  # of enhanced images: where which element is
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RescaleType": "PixelValueTransformationSequence",
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "WindowCenter": "FrameVOILUTSequence",
    "WindowWidth": "FrameVOILUTSequence",
    "VOILUTFunction": "FrameVOILUTSequence",
    "VOILUTSequence": "FrameVOILUTSequence",
}


class Fields:
    """Elements of one frame: its own functional groups first, then shared ones, then the file.

    Attributes:
        warnings: what was ignored or guessed, a sentence each.
    """

    def __init__(self, ds: DataSet, frame: int):
        """Opens no sequence before an element in it is asked for.

        Args:
            ds: the elements of the file.
            frame: 0-based.
        """
        self.warnings: list[str] = []
        self._ds, self._frame = ds, frame
        self._opened: dict[str | None, list[DataSet]] = {None: [ds]}
        self._roots: list[DataSet] | None = None

    def get(self, keyword: str) -> Any:
        """Returns the value of an element, or None if absent or empty.

        Raises:
            ReadError: the value is not of its kind.
        """
        values = (place.get(keyword) for place in self._places(keyword))
        return next((v for v in values if v is not None), None)

    def optional(self, keyword: str) -> Any:
        """Returns the value of an element that the image can do without; None if it is damaged.

        Raises:
            TooLargeError: the limits of the file are exceeded.
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
        """Says that an element was ignored."""
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
        """Adds a warning, once."""
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
