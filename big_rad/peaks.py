"""Peak rates of devices, from their makers' data sheets: dense bfloat16, without sparsity."""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Device:
    """What a roofline needs.

    Attributes:
        tflops: 1e12 FLOP/s, dense bfloat16.
        gbs: memory bandwidth, 1e9 bytes/s.
        kind: pattern of the name by which JAX calls it, in lower case.
    """

    tflops: float
    gbs: float
    kind: str


_SXM = r"(?!.*\b(pcie|nvl)\b)"  # Those of the other kinds are slower.
DEVICES = {
    "h100": Device(989, 3350, rf"\bh100\b{_SXM}"),
    "h200": Device(989, 4800, rf"\bh200\b{_SXM}"),
    "a100": Device(312, 2039, r"\ba100\b"),  # Bandwidth: SXM, 80 GB.
    "l4": Device(121, 300, r"\bl4\b"),
    "4090": Device(165, 1008, r"\b4090$"),
}


def find(kind: str) -> Device | None:
    """Returns what is known of a device by the name that JAX gives it; None of others."""
    return next((d for d in DEVICES.values() if re.search(d.kind, kind.lower())), None)
