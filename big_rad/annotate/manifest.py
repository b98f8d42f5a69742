import csv
from dataclasses import dataclass, field
from pathlib import Path
from big_rad.annotate.faults import Rejected


@dataclass(frozen=True)
class Row:
    line: int
    patient: str
    study: str
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
    clinical: str = ""
    indication: str = ""
    name: str = ""


@dataclass(frozen=True)
class Manifest:
    rows: tuple
    problems: tuple = ()


def read(path):
    rows = []
    with open(path, newline="", encoding="utf-8-sig") as f:
        for n, r in enumerate(csv.DictReader(f), start=2):
            kw = {k: v for k, v in r.items() if v}
            root = Path(path).parent
            image = root / kw.pop("image")
            name = r["image"]
            for k in ("mask", "mask_names"):
                if k in kw:
                    kw[k] = root / kw[k]
            rep = kw.pop("report", "")
            if rep.endswith(".txt"):
                kw["report_file"] = root / rep
            else:
                kw["report"] = rep
            if "slice" in kw:
                kw["slice"] = int(kw["slice"])
            if "patient_name" in kw:
                kw["name"] = kw.pop("patient_name")
            rows.append(Row(line=n, image=image, image_name=name, **kw))
    return Manifest(tuple(rows))


def report_text(row):
    if row.report_file:
        try:
            return row.report_file.read_text()
        except UnicodeDecodeError:
            raise Rejected("the report is not UTF-8")
    return row.report
