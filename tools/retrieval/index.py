"""The index of a search: the embeddings of all images of a split, as a Parquet file.

A row is an image, see `SCHEMA`. The metadata of the file's schema say what the embeddings depend
on, as texts: the keys of `Towers.about` and `Data.about`, and `checkpoint`, `images`, `made` (the
date) and `rejects` (JSON: the examples that could not be read). So other programs can use it too:

    table = pyarrow.parquet.read_table("search.parquet")
    table.schema.metadata[b"model_sha256"]
"""

import json
import pathlib
from collections.abc import Mapping

import numpy as np

from big_rad import extras
from tools.retrieval.images import Embedded, Row

with extras.needed("train"):
    import pyarrow as pa
    import pyarrow.parquet as pq

FORMAT = "big_rad.retrieve 1"
_TEXT = pa.struct([("lang", pa.string()), ("sentence", pa.string())])
_COLUMNS = {
    "example": pa.string(), "image": pa.string(), "item": pa.int64(), "view": pa.int32(),
    "subject": pa.int64(), "modality": pa.string(), "plane": pa.string(),
    "body_part": pa.string(), "texts": pa.list_(_TEXT),
}  # fmt: skip
# What is said about a file, but may differ between files that can be used for each other.
_FREE = ("format", "checkpoint", "images", "made", "rejects")


def schema(features: int) -> pa.Schema:
    """Returns the schema of an index: the fields of `images.Row`, and `embedding`.

    Args:
        features: the width of an embedding.
    """
    return pa.schema([*_COLUMNS.items(), ("embedding", pa.list_(pa.float32(), features))])


def write(path: str | pathlib.Path, held: Embedded, about: Mapping[str, str]) -> None:
    """Writes an index, which appears whole or not at all.

    Args:
        path: the file; its folder is made if it is missing.
        held: the images with their embeddings.
        about: what the embeddings depend on, with `checkpoint` and `made`.

    Raises:
        OSError: the file cannot be written.
    """
    path = pathlib.Path(path)
    columns = [pa.array([_plain(row, n) for row in held.rows], t) for n, t in _COLUMNS.items()]
    flat = pa.array(np.ascontiguousarray(held.vectors, np.float32).reshape(-1))
    features = held.vectors.shape[1]
    columns.append(pa.FixedSizeListArray.from_arrays(flat, features))
    said = dict(about, format=FORMAT, images=str(len(held.rows)), rejects=json.dumps(held.rejects))
    table = pa.table(columns, schema=schema(features).with_metadata(said))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    pq.write_table(table, partial, write_page_checksum=True)
    partial.replace(path)


def read(path: str | pathlib.Path, wanted: Mapping[str, str]) -> tuple[Embedded, dict[str, str]]:
    """Reads an index, if its embeddings are those that are wanted.

    Args:
        path: the file.
        wanted: what the embeddings must depend on, see `write`.

    Returns:
        The images with their embeddings, and what the file says about them.

    Raises:
        ValueError: the file cannot be read, is damaged, is no index, or is one of other weights,
            data or preprocessing.
    """
    remedy = "give another file with --index, or remove this one, and a new one is made"
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            about = {k.decode(): v.decode() for k, v in (file.schema_arrow.metadata or {}).items()}
            if about.get("format") != FORMAT:
                raise ValueError(f"it is not in the format {FORMAT!r} of tools.retrieve")
            differ = [_difference(k, about.get(k), v) for k, v in wanted.items() if k not in _FREE]
            if any(differ):
                what = "; ".join(filter(None, differ))
                raise ValueError(f"its embeddings are not those of this search: {what}")
            table = file.read()
    except (ValueError, pa.ArrowException, OSError) as e:  # Arrow raises OSError for damage too.
        raise ValueError(f"{path}: {e}; {remedy}") from None
    vectors = table["embedding"].combine_chunks()
    features = vectors.type.list_size
    if not table.schema.remove_metadata().equals(schema(features)):
        raise ValueError(f"{path}: its columns are not those of an index; {remedy}")
    texts = [[(t["lang"], t["sentence"]) for t in each] for each in table["texts"].to_pylist()]
    plain = table.drop_columns(["embedding", "texts"]).to_pylist()
    rows = [Row(**row, texts=each) for row, each in zip(plain, texts, strict=True)]
    flat = vectors.flatten().to_numpy()
    return Embedded(rows, flat.reshape(-1, features), json.loads(about["rejects"])), about


def _plain(row: Row, name: str) -> object:
    value = getattr(row, name)
    return [dict(lang=k, sentence=v) for k, v in value] if name == "texts" else value


def _difference(name: str, held: str | None, wanted: str) -> str:
    if held == wanted:
        return ""
    short = name.endswith("sha256")
    held, wanted = (str(x)[:12] if short and x else str(x) for x in (held, wanted))
    return f"{name} is {held or 'not said'}, and here {wanted or 'not said'}"
