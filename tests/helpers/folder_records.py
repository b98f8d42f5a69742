"""Helpers for the tests of `folder`: records made from lines, without building a dataset."""

import json

from big_rad.datasets.folder import builder, images, source
from big_rad.pp import packed
from tests.helpers.dicom_files import content, dataset


def records_of(root, *lines, **options):
    """Writes data.jsonl; returns {id: unpacked image, or None}, and the problems worth showing."""
    defaults = {"patient": "p", "split": "train", "report": "The liver is normal."}
    text = "".join(json.dumps(defaults | line) + "\n" for line in lines)
    (root / "data.jsonl").write_text(text, encoding="utf-8")
    listing = source.read(root)
    found, problems = {}, list(listing.problems)
    for item in listing.items:
        record, more = images.to_record(item, root, "data.jsonl", images.Options(**options))
        found[item.id] = record and _unpacked(record["images"][0])
        problems += [p for p in more if p.level in ("error", "warning")]
    return found, problems


def validated(root, **options):
    """Returns problems and notes of a source."""
    notes = []
    return list(builder.validate(root, notes=notes, **options)), notes


def save_dicom(path, pixels, **fields):
    """Writes a DICOM slice of HU."""
    path.write_bytes(content(dataset(pixels, RescaleIntercept=0, **fields)))
    return path


def _unpacked(image):
    arrays = {k: packed.array(image[k]) for k in ("image", "segmap") if image[k]}
    return arrays | {"boxes": json.loads(image["boxes"]), "modality": image["modality"]}
