"""Objects are taken out of answers whole, or there is an error."""

import pydicom
import pytest

from big_rad.dicom import errors, web_parts
from tests.helpers import dicom_files
from tests.helpers.dicomweb_server import wrapped

CONTENT = b"\r\n--fron" + bytes(range(256)) + b"--frontier--\r\n\r\n--frontie"
BODY = wrapped(CONTENT)[1]


def pieces(body, size):
    return iter([body[i : i + size] for i in range(0, len(body), size)])


def taken(body, size):
    return b"".join(web_parts.only_part(pieces(body, size), b"frontier"))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10**6])
def test_the_content_of_the_part_is_taken_whatever_the_pieces_are(size):
    assert taken(BODY, size) == CONTENT
    assert taken(BODY.removeprefix(b"\r\n") + b"\r\n", size) == CONTENT
    assert taken(BODY.replace(CONTENT, b""), size) == b""


@pytest.mark.parametrize("size", [3, 10**6])
def test_an_answer_that_ends_anywhere_too_early_is_an_error(size):
    for end in range(len(BODY)):
        with pytest.raises(web_parts.EnvelopeError) as caught:
            taken(BODY[:end], size)
        assert caught.value.truncated, end


def test_no_part_and_several_parts_are_errors():
    two = BODY.removesuffix(b"--") + b"\r\n\r\nmore\r\n--frontier--"
    for body in (two, b"--frontier--\r\n\r\n", b"x" * 100_000):
        with pytest.raises(web_parts.EnvelopeError) as caught:
            taken(body, 1000)
        assert not caught.value.truncated


def encapsulated():
    return dicom_files.encapsulated([b"\x01\x02" * 20], pydicom.uid.RLELossless)


@pytest.mark.parametrize("make", [lambda: dicom_files.content(dicom_files.dataset()), encapsulated])
def test_a_truncated_object_is_no_whole_one(make, tmp_path):
    data, path = make(), tmp_path / "a.dcm"
    path.write_bytes(data)
    web_parts.check_whole(path, "1.2.3")
    with pytest.raises(errors.NotAnImageError, match="another object"):
        web_parts.check_whole(path, "1.2.4")
    for end in range(0, data.index(b"\x08\x00\x16\x00"), 7):  # Within the file meta information.
        path.write_bytes(data[:end])
        with pytest.raises(errors.ReadError):
            web_parts.check_whole(path, "1.2.3")
    for cut in (1, 5, 9, 30):  # Within the pixels.
        path.write_bytes(data[:-cut])
        with pytest.raises(errors.MissingElementError, match="truncated"):
            web_parts.check_whole(path, "1.2.3")


def test_what_is_no_dicom_is_an_error_that_does_not_quote_it(tmp_path):
    path = tmp_path / "a.dcm"
    secret = dicom_files.SECRET.encode()
    for data in (b"", secret * 20, bytes(128) + b"DICM" + secret * 20, bytes(128) + b"DICM"):
        path.write_bytes(data)
        with pytest.raises(errors.ReadError) as caught:
            web_parts.check_whole(path, "1.2.3")
        assert dicom_files.SECRET not in str(caught.value)
