"""Reads the rows of a run, from a manifest or from a public dataset."""

from big_rad.annotate import manifest
from big_rad.annotate.importers import totalsegmentator
from big_rad.annotate.manifest import Manifest
from big_rad.annotate.settings import Source

IMPORTERS = {"totalsegmentator": totalsegmentator.read}


def read(source: Source) -> Manifest:
    """Returns the rows of a source with the problems of its table.

    Raises:
        ValueError: the table cannot be read at all.
    """
    if source.importer:
        return IMPORTERS[source.importer](source.folder, source.notes)
    return manifest.read(source.manifest)
