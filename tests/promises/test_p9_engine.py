"""P9: what names a patient in the input of the data engine is found nowhere in what it writes.

A made hospital's export has more than thirty invented identifiers in DICOM headers (nested and
private ones too), NIfTI headers and extensions, masks, names of files and folders, and in the text
of reports. Everything that is written or printed is searched for them, unpacked.
"""

import os
import subprocess
import sys
import unicodedata

import pyarrow.parquet as pq
import pytest
import zstandard

from big_rad.grounding import plain
from tests.helpers import small_studies
from tests.published import hospital


def known_as(identifier):
    """The spellings under which an identifier may be found: as it is, folded, and unspaced."""
    folded = plain.spelled(unicodedata.normalize("NFC", identifier)).casefold()
    return {identifier.casefold(), folded, "".join(folded.split())}


def content(path):
    """All that a file says, unpacked, as one string."""
    data = path.read_bytes()
    if path.name.endswith(".zst"):
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    texts = [data.decode(code, "replace") for code in ("latin-1", "utf-8", "utf-16-le")]
    if path.suffix == ".parquet":
        texts += [str(pq.read_table(path).to_pylist())]
    return "\n".join(texts)


def found_in(text, identifiers):
    text = unicodedata.normalize("NFC", text).casefold()
    folded = plain.spelled(text).casefold()
    both = text + "\n" + folded
    return {name for name in identifiers if any(known in both for known in known_as(name))}


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    root = tmp_path_factory.mktemp("hospital")
    made = hospital.write(root, patients=4, size=48, thickness=12.0, canaries=True)
    hospital.break_some(made, corrupt=1, latin1=1)
    return made


@pytest.fixture(scope="module")
def result(export, tmp_path_factory):
    out = tmp_path_factory.mktemp("results") / "out"
    done = small_studies.run(export.manifest, out, "--config.workers=2")
    assert done.returncode == 0, done.stderr
    return out, done.stdout + done.stderr


def test_the_identifiers_are_in_the_input(export):
    assert len(export.canaries) >= 30
    held = "\n".join(str(p.relative_to(export.root)) for p in export.root.rglob("*"))
    held += export.manifest.read_text()
    for path in export.root.rglob("*.txt"):
        held += content(path)
    assert len(found_in(held, export.canaries)) > 10


def test_no_identifier_is_in_what_is_written_or_printed(export, result):
    out, printed = result
    written = {str(p.relative_to(out)): p for p in out.rglob("*") if p.is_file()}
    assert sum(name.endswith(".dcm.zst") for name in written) > 5
    assert any(name.startswith("stage/items") for name in written)
    held = {"printed": printed, "names": "\n".join(written)}
    held |= {name: content(path) for name, path in written.items()}
    found = {name: f for name, text in held.items() if (f := found_in(text, export.canaries))}
    assert found == {}


def test_a_check_of_the_manifest_prints_no_identifier(export):
    done = subprocess.run(
        [sys.executable, "-m", "big_rad.annotate", "check",
         f"--config=configs/annotate.py:manifest={export.manifest},out=never"],
        capture_output=True, text=True, cwd=small_studies.ROOT,
        env=os.environ | {"PYTHONPATH": str(small_studies.ROOT)}, timeout=300,
    )  # fmt: skip
    assert found_in(done.stdout + done.stderr, export.canaries) == set()
    assert "line" in done.stdout + done.stderr or ":" in done.stdout
