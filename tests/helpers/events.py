"""Reads the images and scalars that TensorBoard would show, without TensorBoard."""

import io
import struct

import numpy as np
from PIL import Image
from tensorboardX.proto import event_pb2


def images(folder):
    """Returns (step, tag, pixels uint8 [H, W, 3]) of all images in a folder of events, in order."""
    return [
        (
            event.step,
            value.tag,
            np.asarray(Image.open(io.BytesIO(value.image.encoded_image_string))),
        )
        for event in _all(folder)
        for value in event.summary.value
        if value.HasField("image")
    ]


def scalars(folder):
    """Returns {(tag, step): value} of all scalars in a folder of events."""
    return {
        (value.tag, event.step): value.simple_value
        for event in _all(folder)
        for value in event.summary.value
        if value.HasField("simple_value")
    }


def begun(folder):
    """Returns the steps at which a session starts again. There, TensorBoard drops the events of
    this and later steps that were written before."""
    return [e.step for e in _all(folder) if e.HasField("session_log")]


def _all(folder):
    for path in sorted(folder.glob("events.out.tfevents.*")):
        yield from _events(path.read_bytes())


def _events(content):
    # TFRecord: length, its checksum, content, its checksum.
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        yield event_pb2.Event.FromString(content[12 : 12 + length])
        content = content[16 + length :]
