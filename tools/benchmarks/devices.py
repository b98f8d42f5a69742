"""Peak rates of devices, from their makers' data sheets: dense bfloat16, without sparsity."""

import argparse
import dataclasses
import os

import jax


@dataclasses.dataclass(frozen=True)
class Device:
    """What a roofline needs.

    Attributes:
        tflops: 1e12 FLOP/s, dense bfloat16.
        gbs: memory bandwidth, 1e9 bytes/s.
        kind: part of the name by which JAX calls it, in lower case.
    """

    tflops: float
    gbs: float
    kind: str


DEVICES = {
    "h100": Device(989, 3350, "h100"),  # SXM
    "h200": Device(989, 4800, "h200"),
    "a100": Device(312, 2039, "a100"),  # SXM, 80 GB
    "l4": Device(121, 300, "l4"),
    "4090": Device(165, 1008, "4090"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the argument that says how fast the device could be."""
    parser.add_argument("--peak_tflops", type=float, help="peak of the device, if not in the table")


def peak_flops(given: float | None) -> float | None:
    """Returns the peak FLOP/s of the present device.

    Args:
        given: in 1e12, overrides the table.

    Returns:
        FLOP/s, or None if it is not known, as on a CPU.
    """
    if given:
        return given * 1e12
    found = _present()
    return found.tflops * 1e12 if found else None


def bandwidth(given: float | None) -> float | None:
    """Returns the bytes/s of the present device's memory; `given`, in 1e9, overrides the table."""
    if given:
        return given * 1e9
    found = _present()
    return found.gbs * 1e9 if found else None


def cores() -> int:
    """Returns how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _present() -> Device | None:
    name = jax.devices()[0].device_kind.lower()
    return next((d for d in DEVICES.values() if d.kind in name), None)
