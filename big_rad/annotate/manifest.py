"""Stub."""
import dataclasses
from pathlib import Path
from big_rad.datasets import records
@dataclasses.dataclass(frozen=True)
class Row:
    line: int
    patient: str; study: str
    image: Path
    image_name: str
    modality: str
    language: str
    report: str = ""
    report_file: Path | None = None
    mask: Path | None = None
    mask_names: Path | None = None
    sentence: str = ""
    series: str = ""
    slice: int | None = None
    plane: str = ""
    date: str = ""
    clinical: str = ""; indication: str = ""
    name: str = ""
@dataclasses.dataclass(frozen=True)
class Manifest:
    rows: tuple[Row, ...]; problems: tuple[records.Problem, ...]
