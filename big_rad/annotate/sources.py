"""Reads the rows of a run, from a manifest or from a public dataset."""

from typing import Any

from big_rad.annotate import manifest
from big_rad.annotate.importers import totalsegmentator
from big_rad.annotate.manifest import Manifest
from big_rad.annotate.settings import Source

# Each importer is a module with the name `META` of its table, and functions `read`, `splits` and
# `licences`.
IMPORTERS = {"totalsegmentator": totalsegmentator}


def read(source: Source) -> Manifest:
    """Returns the rows of a source with the problems of its table.

    Raises:
        ValueError: the table cannot be read at all.
    """
    if source.importer:
        return IMPORTERS[source.importer].read(source.folder, source.notes)
    return manifest.read(source.manifest)


def table(source: Source) -> str:
    """Returns the name of the table whose lines the rows name."""
    return IMPORTERS[source.importer].META if source.importer else source.manifest.name


def splits(source: Source) -> dict[str, str]:
    """Returns the splits that the publisher of a source gives its patients, {} for a manifest."""
    return IMPORTERS[source.importer].splits(source.folder) if source.importer else {}


def licences(source: Source) -> list[dict[str, Any]]:
    """Returns the licences of a public source as a card has them; [] for a manifest."""
    if source.importer:
        return list(IMPORTERS[source.importer].licences(source.folder, source.notes))
    return []
