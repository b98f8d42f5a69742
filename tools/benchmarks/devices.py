"""How fast the present device could be: by `big_rad.models.counts`, or by the command line."""

import argparse

import jax

from big_rad.models import counts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the argument that says how fast the device could be."""
    parser.add_argument("--peak_tflops", type=float, help="peak of the device, if not in the table")


def peak_flops(given: float | None, kind: str | None = None) -> float | None:
    """Returns the peak FLOP/s of a device.

    Args:
        given: in 1e12, overrides the table.
        kind: the device's name; by default that of the present one, as JAX gives it.

    Returns:
        FLOP/s, or None if it is not known, as on a CPU.
    """
    if given:
        return given * 1e12
    found = counts.find_device(kind or jax.devices()[0].device_kind)
    return found.tflops * 1e12 if found else None


def bandwidth(given: float | None) -> float | None:
    """Returns the bytes/s of the present device's memory; `given`, in 1e9, overrides the table."""
    if given:
        return given * 1e9
    found = counts.find_device(jax.devices()[0].device_kind)
    return found.gbs * 1e9 if found else None
