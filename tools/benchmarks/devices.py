"""The peak rates of this device, from the table of `big_rad.models.counts` or the command line."""

import argparse

import jax

from big_rad.models import counts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the argument that states the peak rate of the device."""
    parser.add_argument("--peak_tflops", type=float, help="peak of the device, if not in the table")


def peak_flops(given: float | None, kind: str | None = None) -> float | None:
    """Returns the peak FLOP/s of a device.

    Args:
        given: the peak in TFLOP/s, which overrides the table; None takes the table.
        kind: the name of the device; None takes the name that JAX gives to this device.

    Returns:
        The peak in FLOP/s, or None if it is not known, as on a CPU.
    """
    if given:
        return given * 1e12
    found = counts.find_device(kind or jax.devices()[0].device_kind)
    return found.tflops * 1e12 if found else None


def bandwidth(given: float | None) -> float | None:
    """Returns the memory bandwidth of this device in bytes/s, or None if it is not known.

    Args:
        given: the bandwidth in GB/s, which overrides the table; None takes the table.
    """
    if given:
        return given * 1e9
    found = counts.find_device(jax.devices()[0].device_kind)
    return found.gbs * 1e9 if found else None
