"""Digests of the content of files and folders, computed again only if they have changed."""

import hashlib
import json
from pathlib import Path

from big_rad.annotate.deidentify.keys import Keys
from big_rad.annotate.store import Store
from big_rad.dicom import walk

_BLOCK = 1 << 20


def of(path: Path, store: Store, keys: Keys) -> str:
    """Returns a keyed digest of the content of a file, or of all files in a folder.

    It is remembered in the store with names, sizes and times of change, and computed again if one
    of these differs. Neither the path nor a name can be found out from what is remembered.

    Args:
        path: a file or a folder; "" is the digest of one that does not exist.
        store: the store of the run.
        keys: the keys of the run.
    """
    if not path.exists():
        return ""
    listed = walk.files([path])[0]
    stats = [(p.stat(), p.relative_to(path).as_posix() if path.is_dir() else "") for p in listed]
    seen = keys.digest(
        json.dumps([(name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for s, name in stats])
    )
    note = keys.digest("path", str(path.resolve()))
    known = store.note("digests", note)
    if isinstance(known, dict) and known.get("seen") == seen:
        return str(known["content"])
    whole = hashlib.sha256()
    for p, (_, name) in zip(listed, stats):
        one = hashlib.sha256()
        with p.open("rb") as file:
            while block := file.read(_BLOCK):
                one.update(block)
        whole.update(keys.digest("file", name, one.hexdigest()).encode())
    content = whole.hexdigest()
    store.write_note("digests", note, {"seen": seen, "content": content})
    return content
