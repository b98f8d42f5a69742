"""Finds the elements of a DICOM data set in its bytes, and decodes only those that are asked for.

A library that builds an object for every element and item can be made to fill the memory by a small
file. It also spends most of its time on elements that nobody needs, and the patient's identity is
among these. Here elements are stepped over, up to a limit, and only the elements in `TAGS` can be
asked for.
"""

import hmac
import itertools
import struct
from collections.abc import Iterator

from big_rad.dicom.errors import MissingElementError, NotAnImageError, ReadError, TooLargeError

# The most elements that are stepped over in one file. An enhanced file of a thousand frames has
# about a tenth of that.
MAX_ELEMENTS = 1_000_000
_MAX_DEPTH = 16
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXELS = 0x7FE00010
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
# The elements that can be asked for, each with its tag and its kind. None of them names a patient.
# The identifiers of object, series and frame of reference can be looked up in an archive, so they
# stay out of messages and outputs other than DICOM objects. The kind follows the VR in the DICOM
# dictionary, not the VR in the file.
TAGS = {
    "MediaStorageSOPClassUID": (0x00020002, "text"),
    "TransferSyntaxUID": (0x00020010, "text"),
    "ImageType": (0x00080008, "text"),
    "SOPClassUID": (0x00080016, "text"),
    "SOPInstanceUID": (0x00080018, "text"),
    "Modality": (0x00080060, "text"),
    "SliceThickness": (0x00180050, "numbers"),
    "EchoNumbers": (0x00180086, "numbers"),
    "SeriesInstanceUID": (0x0020000E, "text"),
    "AcquisitionNumber": (0x00200012, "numbers"),
    "InstanceNumber": (0x00200013, "numbers"),
    "FrameOfReferenceUID": (0x00200052, "text"),
    "TemporalPositionIdentifier": (0x00200100, "numbers"),
    "ModalityLUTSequence": (0x00283000, "items"),
    "VOILUTSequence": (0x00283010, "items"),
    "LUTDescriptor": (0x00283002, "words"),
    "LUTData": (0x00283006, "bytes"),
    "ImagerPixelSpacing": (0x00181164, "numbers"),
    "ImagePositionPatient": (0x00200032, "numbers"),
    "ImageOrientationPatient": (0x00200037, "numbers"),
    "SamplesPerPixel": (0x00280002, "word"),
    "PhotometricInterpretation": (0x00280004, "text"),
    "PlanarConfiguration": (0x00280006, "word"),
    "NumberOfFrames": (0x00280008, "integer"),
    "Rows": (0x00280010, "word"),
    "Columns": (0x00280011, "word"),
    "PixelSpacing": (0x00280030, "numbers"),
    "BitsAllocated": (0x00280100, "word"),
    "BitsStored": (0x00280101, "word"),
    "HighBit": (0x00280102, "word"),
    "PixelRepresentation": (0x00280103, "word"),
    "PixelPaddingValue": (0x00280120, "words"),
    "PixelPaddingRangeLimit": (0x00280121, "words"),
    "WindowCenter": (0x00281050, "numbers"),
    "WindowWidth": (0x00281051, "numbers"),
    "RescaleIntercept": (0x00281052, "numbers"),
    "RescaleSlope": (0x00281053, "numbers"),
    "RescaleType": (0x00281054, "text"),
    "VOILUTFunction": (0x00281056, "text"),
    "RedPaletteColorLookupTableDescriptor": (0x00281101, "words"),
    "GreenPaletteColorLookupTableDescriptor": (0x00281102, "words"),
    "BluePaletteColorLookupTableDescriptor": (0x00281103, "words"),
    "RedPaletteColorLookupTableData": (0x00281201, "bytes"),
    "GreenPaletteColorLookupTableData": (0x00281202, "bytes"),
    "BluePaletteColorLookupTableData": (0x00281203, "bytes"),
    "SegmentedRedPaletteColorLookupTableData": (0x00281221, "bytes"),
    "SegmentedGreenPaletteColorLookupTableData": (0x00281222, "bytes"),
    "SegmentedBluePaletteColorLookupTableData": (0x00281223, "bytes"),
    "SharedFunctionalGroupsSequence": (0x52009229, "items"),
    "PerFrameFunctionalGroupsSequence": (0x52009230, "items"),
    "PixelMeasuresSequence": (0x00289110, "items"),
    "FrameVOILUTSequence": (0x00289132, "items"),
    "PixelValueTransformationSequence": (0x00289145, "items"),
    "PlanePositionSequence": (0x00209113, "items"),
    "PlaneOrientationSequence": (0x00209116, "items"),
    "PixelData": (_PIXELS, "bytes"),
}
# The elements that say who the patient is. `DataSet` gives out keyed digests of their values, never
# the values themselves.
IDENTITY = {
    "PatientID": 0x00100020,
    "StudyInstanceUID": 0x0020000D,
    "SeriesInstanceUID": 0x0020000E,
}
_WANTED = frozenset([*(tag for tag, _ in TAGS.values()), *IDENTITY.values()])


class Source:
    """The bytes of a file, with the number of elements that may still be stepped over.

    Attributes:
        data: the bytes.
        name: the name of the file, for messages.
        little: whether numbers are little endian.
        size: the size of the whole file in bytes, if `data` is only its beginning. The pixel data
            of the file itself may then reach beyond `data`, but not beyond `size`.
    """

    def __init__(self, data: bytes, name: str, little: bool = True, size: int | None = None):
        self.data, self.name, self.little = data, name, little
        self.size = len(data) if size is None else size
        self._left = MAX_ELEMENTS
        order = "<" if little else ">"
        self.explicit = struct.Struct(f"{order}HH2sH").unpack_from
        self.implicit = struct.Struct(f"{order}HHL").unpack_from
        self.long = struct.Struct(f"{order}L").unpack_from

    def step(self, n: int = 1) -> None:
        """Counts `n` elements as stepped over.

        Raises:
            TooLargeError: the file has more than `MAX_ELEMENTS` elements.
        """
        self._left -= n
        if self._left < 0:
            raise TooLargeError(
                f"{self.name}: more than {MAX_ELEMENTS} elements; export the slice alone"
            )

    def truncated(self, what: str = "an element") -> MissingElementError:
        """Returns the error for a file that ends too early."""
        return MissingElementError(
            f"{self.name}: truncated, it ends within {what}; copy or export it again"
        )


class DataSet:
    """The elements of a file or of one sequence item.

    Attributes:
        source: the file that the elements lie in.
        end: the offset where the data set ends. Pixel data are not stepped over, so a data set that
            has them ends at their value.
    """

    def __init__(
        self,
        source: Source,
        start: int,
        end: int,
        implicit: bool,
        group: int | None = None,
        last: int | None = None,
    ):
        """Steps through the elements.

        Args:
            source: the file that the elements lie in.
            start: the offset of the first element.
            end: the offset that the data set cannot pass. An item delimiter or pixel data may end
                it earlier.
            implicit: whether the elements are written without VRs.
            group: a group of elements; the data set ends at the first element of another group.
                None sets no such end.
            last: the last group that is read; the data set ends at the first element of a higher
                group. None sets no such end.
        """
        self.source = source
        self._implicit = implicit
        self._found, self.end = _elements(source, start, end, implicit, 0, group, last)

    def vr(self, keyword: str) -> bytes:
        """Returns the VR of an element in the file.

        The result is b"" if the element is absent or if the file is written without VRs.
        """
        found = self._found.get(TAGS[keyword][0])
        return found[3] if found else b""

    def span(self, keyword: str) -> tuple[int, int] | None:
        """Returns (start, length) of an element's value, or None if the element is absent.

        A length of -1 stands for the undefined length of DICOM.
        """
        found = self._found.get(TAGS[keyword][0])
        return found[:2] if found else None

    def get(self, keyword: str):  # noqa: ANN201 - by the kind in TAGS
        """Returns an element's value, or None if it is absent or empty.

        Returns:
            The kind of the element in `TAGS` decides on the type of its value:

                kind            type
                text            str, without padding
                word, integer   int
                numbers         list of float
                words           tuple of int
                bytes           bytes

        Raises:
            MissingElementError: the value is not of the kind of the element.
            TooLargeError: the value has more parts than may still be stepped over.
        """
        tag, kind = TAGS[keyword]
        found = self._found.get(tag)
        if not found or found[1] <= 0:
            return None
        start, length = found[:2]
        value = self.source.data[start : start + length]
        try:
            return self._decoded(value, kind)
        except ReadError:
            raise
        except (ValueError, struct.error):
            raise MissingElementError(
                f"{self.source.name}: {keyword} is not what the standard asks for (a number with a "
                "decimal comma, for example); correct it, or export the slice again"
            ) from None

    def digest(self, keyword: str, key: bytes) -> bytes | None:
        """Returns a keyed digest of an element of `IDENTITY`, or None if it is absent or empty.

        Equal values have equal digests under the same key. The value itself is not returned.
        """
        found = self._found.get(IDENTITY[keyword])
        if not found or found[1] <= 0:
            return None
        value = self.source.data[found[0] : found[0] + found[1]].strip(b" \0")
        return hmac.digest(key, value, "sha256") if value else None

    def item(self, keyword: str, index: int = 0) -> "DataSet | None":
        """Returns one item of a sequence, or None if there is no such item."""
        found = next(itertools.islice(self._items(keyword), index, None), None)
        return found and DataSet(self.source, *found)

    def items(self, keyword: str) -> Iterator["DataSet"]:
        """Yields the items of a sequence, each of which is found only once."""
        for found in self._items(keyword):
            yield DataSet(self.source, *found)

    def _items(self, keyword: str) -> Iterator[tuple[int, int, bool]]:
        """Yields for each item its start, an offset that it does not pass, and `implicit`."""
        found = self._found.get(TAGS[keyword][0])
        if not found:
            return
        at, length, implicit, _ = found
        source = self.source
        end = len(source.data) if length < 0 else at + length
        while True:
            source.step()
            if at + 8 > end:
                return
            tag, size = _item_header(source, at)
            if tag != _ITEM:
                return
            at += 8
            stop = end if size == _UNDEFINED else at + size
            if stop > end:
                raise source.truncated("a sequence item")
            kind = implicit or not _has_vr(source.data, at)
            yield at, stop, kind
            at = _elements(source, at, stop, kind, 1)[1] if size == _UNDEFINED else stop

    def _decoded(self, value: bytes, kind: str):
        order = "<" if self.source.little else ">"
        if kind == "word":
            return struct.unpack_from(f"{order}H", value)[0]
        if kind == "text":
            return value.decode("latin-1").strip(" \0")
        if kind == "bytes":
            return value
        if kind == "words":
            self.source.step(len(value) // 2)
            return struct.unpack_from(f"{order}{len(value) // 2}H", value)
        text = value.decode("ascii").strip(" \0")
        if kind == "integer":
            return int(text) if text else None
        self.source.step(text.count("\\"))
        return [float(part) for part in text.split("\\")] if text else None


def pixel_fragments(source: Source, start: int) -> list[tuple[int, int]]:
    """Returns (start, length) of each item of encapsulated pixel data, the offset table first.

    Raises:
        MissingElementError: the file ends before the last item is complete.
        NotAnImageError: the pixel data are not made of items.
    """
    items = []
    while True:
        source.step()
        if start + 8 > len(source.data):
            raise source.truncated("PixelData")
        tag, length = _item_header(source, start)
        start += 8
        if tag == _SEQUENCE_END:
            return items
        if tag != _ITEM or length == _UNDEFINED:
            raise NotAnImageError(
                f"{source.name}: PixelData is not made of fragments; export it again"
            )
        if start + length > len(source.data):
            raise source.truncated("PixelData")
        items.append((start, length))
        start += length


def starts_with_vr(data: bytes, start: int) -> bool:
    """Returns whether the element at `start` has a VR, by its bytes and not the transfer syntax."""
    return _has_vr(data, start)


def _has_vr(data: bytes, start: int) -> bool:
    vr = data[start + 4 : start + 6]
    return len(vr) == 2 and b"A" <= vr[:1] <= b"Z" and b"A" <= vr[1:] <= b"Z"


def _item_header(source: Source, at: int) -> tuple[int, int]:
    group, element, length = source.implicit(source.data, at)
    return group << 16 | element, length


def _elements(
    source: Source,
    at: int,
    end: int,
    implicit: bool,
    depth: int,
    only: int | None = None,
    last: int | None = None,
) -> tuple[dict[int, tuple[int, int, bool, bytes]], int]:
    """Steps through one data set; returns {tag: (start, length or -1, implicit, VR)} and its end.

    Raises:
        MissingElementError: an element ends after the data.
        NotAnImageError: sequences are nested too deep.
    """
    if depth > _MAX_DEPTH:
        raise NotAnImageError(f"{source.name}: sequences nested too deep; export the slice alone")
    data, found, steps = source.data, {}, 0
    explicit_header, implicit_header, long = source.explicit, source.implicit, source.long
    while at + 8 <= end:
        steps += 1
        if steps == 1000:
            source.step(steps)
            steps = 0
        vr = b""
        if implicit:
            group, element, length = implicit_header(data, at)
        else:
            group, element, vr, length = explicit_header(data, at)
        if (only is not None and group != only) or (last is not None and group > last):
            break
        tag = group << 16 | element
        at += 8
        if vr in _LONG:
            if at + 4 > end:
                raise source.truncated()
            length = long(data, at)[0]
            at += 4
        elif vr and not (b"AA" <= vr <= b"ZZ"):  # Some writers leave out single VRs.
            length = implicit_header(data, at - 8)[2]
        if tag == _ITEM_END:
            break
        if length == _UNDEFINED:
            if tag in _WANTED:
                found[tag] = (at, -1, implicit or vr == b"UN", vr)
            if tag == _PIXELS and not depth:
                break
            at = _skipped(source, at, end, implicit or vr in (b"", b"UN"), depth + 1)
            continue
        pixels = tag == _PIXELS and not depth
        if at + length > (source.size if pixels and end == len(data) else end):
            raise source.truncated("PixelData" if tag == _PIXELS else "an element")
        if tag in _WANTED:
            found[tag] = (at, length, implicit or vr == b"UN", vr)
            if pixels:
                break
        at += length
    else:
        if at < end and not depth and only is None and any(data[at:end]):
            raise source.truncated()
    source.step(steps + 1)
    return found, at


def _skipped(source: Source, at: int, end: int, implicit: bool, depth: int) -> int:
    """Returns the offset where a sequence or pixel data of undefined length end."""
    while at + 8 <= end:
        source.step()
        tag, length = _item_header(source, at)
        at += 8
        if tag == _SEQUENCE_END:
            return at
        if tag != _ITEM:
            break
        if length == _UNDEFINED:
            kind = implicit or not _has_vr(source.data, at)
            at = _elements(source, at, end, kind, depth)[1]
        elif at + length > end:
            break
        else:
            at += length
    raise source.truncated("a sequence")
