"""Writes the page of a predicted series: one HTML file that needs nothing else.

    with series_page.SeriesPage(count=len(series.slices)) as page:
        for ref, image, prediction in answered:
            page.add(series_page.view(ref.index, stem, image, prediction, seen))
        page.save(out / "series.html", regions.to_json(found, series, marked), {"step": 1200})

Slices are added one by one. Only their small pictures and what was marked stay in memory; the rest
waits in a temporary file. The page shows no more of the names of files than the caller gives, and
no identifiers.
"""

import itertools
import pathlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any

from big_rad.dicom import read as dicom_read
from big_rad.dicom.series import Series, SliceRef
from big_rad.inference.predictions import NOTE
from big_rad.inference.series_files import SeriesFiles, without_name
from big_rad.pages import parts as page_parts
from big_rad.pages import series_client, series_slices, series_tables
from big_rad.pages import series_pictures as pictures
from big_rad.pages.parts import esc
from big_rad.pages.series_slices import SliceView, view

__all__ = ["MAX_BYTES", "SeriesPage", "SliceView", "of_files", "view", "write"]

MAX_BYTES = 24_000_000
_BLOCK = 1 << 20
_HINT = (
    "Slices are numbered as in series.json. Choose one with the arrow keys, the slider, a swipe, "
    "the strip or the tables."
)
_REGIONS = (
    "A region is an entity joined over neighbouring slices. Its extent is along the rows of stored "
    "pixels × along the columns × across the slices."
)


def write(
    path: str | pathlib.Path,
    slices: Iterable[SliceView],
    series: Mapping[str, Any] | Callable[[], Mapping[str, Any]],
    *,
    count: int,
    facts: Mapping[str, object] | None = None,
    max_bytes: int = MAX_BYTES,
) -> pathlib.Path:
    """Writes the page of a series.

    Args:
        path: the HTML file, whose folder is made if it is missing.
        slices: the slices in their order; they are taken one by one.
        series: see `SeriesPage.save`; or a function that returns it, which is called after the last
            slice.
        count: the number of slices that will come.
        facts: see `SeriesPage.save`.
        max_bytes: see `SeriesPage`.

    Returns:
        The path of the page.

    Raises:
        ValueError: see `SeriesPage.add`.
    """
    with SeriesPage(count, max_bytes) as page:
        for one in slices:
            page.add(one)
        return page.save(path, series() if callable(series) else series, facts)


def of_files(
    series: Series,
    files: SeriesFiles,
    read: Callable[[SliceRef], dicom_read.Slice],
    facts: Mapping[str, object],
) -> None:
    """Writes the page of a predicted series from its files, as `series.html` beside them.

    Args:
        series: the series.
        files: its files, `series.json` included.
        read: reads a slice.
        facts: see `SeriesPage.save`.
    """
    done = {ref.index: plain for ref, plain in files.read()}
    with SeriesPage(len(series.slices)) as page:
        for ref in series.slices:
            name, error = files.stem(ref), files.failed.get(ref.index, "")
            try:
                image = read(ref)
            except (ValueError, OSError) as e:
                why, modality = without_name(e, ref), series.modality or "OT"
                page.add(SliceView(ref.index, name, None, modality, None, error=why))
                continue
            plain = done.get(ref.index)
            prediction = None if plain is None else files.prediction(plain)
            error = error or ("" if plain else "not predicted")
            seen, place = files.seen(ref), ref.position
            page.add(view(ref.index, name, image, prediction, seen, position=place, error=error))
        page.save(files.folder / "series.html", files.read_json(), facts)


class SeriesPage:
    """A page of a series that is being made. It is closed by `close`, or at the end of a `with`."""

    def __init__(self, count: int, max_bytes: int = MAX_BYTES):
        """Begins a page.

        Args:
            count: the number of slices that will be added.
            max_bytes: about the largest size of the file. Pictures lose quality, and at last size,
                if they would need more; the page says so.
        """
        self._articles = tempfile.TemporaryFile()
        self._packer = pictures.Packer(count, int(max_bytes * 0.95))
        self._by_class = series_tables.ByClass()
        self._colours: dict[str, int] = {}
        self._strip: list[str] = []
        self._warnings: dict[str, list[int]] = {}
        self._kinds: dict[str, None] = {}
        self._spacings: dict[tuple[float, float] | None, None] = {}
        self._modalities: dict[str, None] = {}
        self._sizes: dict[str, None] = {}
        self._indices: list[int] = []
        self._predicted = 0

    def add(self, one: SliceView) -> None:
        """Adds a slice.

        Raises:
            ValueError: the numbers of the slices do not rise.
        """
        if self._indices and one.index <= self._indices[-1]:
            raise ValueError(
                f"slice {one.index} comes after slice {self._indices[-1]}; add the slices of a "
                "series in their order, each once"
            )
        self._indices.append(one.index)
        for entity in one.prediction.entities if one.prediction else ():
            number = len(self._colours) % series_slices.COLOURS
            if entity.box is not None:
                self._colours.setdefault(series_slices.key_of(entity), number)
        text, strip, kind = series_slices.article(one, self._colours, self._packer)
        self._articles.write(text.encode("utf-8", errors="replace"))
        self._strip.append(strip)
        self._by_class.add(one)
        if kind:
            self._kinds[kind] = None
            self._spacings[one.spacing] = None
            self._modalities[one.modality] = None
            self._sizes[f"{one.pixels.shape[1]} × {one.pixels.shape[0]}"] = None
        said = [f"not predicted: {one.error or series_slices.NO_REASON}"]
        if one.prediction is not None:
            self._predicted += 1
            said = one.prediction.warnings
        for warning in dict.fromkeys(said):
            self._warnings.setdefault(warning, []).append(one.index)

    def save(
        self,
        path: str | pathlib.Path,
        series: Mapping[str, Any],
        facts: Mapping[str, object] | None = None,
    ) -> pathlib.Path:
        """Writes the page, atomically.

        Args:
            path: the HTML file, whose folder is made if it is missing.
            series: the series with its regions, as `regions.to_json` returns it.
            facts: further facts for the head, {name: value}, such as the name of the checkpoint and
                its step. They are shown as they are.

        Returns:
            The path of the page.
        """
        facts = {k: str(v) for k, v in (facts or {}).items()}
        summary = {
            "title": "Predicted series",
            "lead": self._lead(series),
            "note": NOTE,
            "facts": {"series": series["key"]} | facts | self._facts(series),
        }
        before = [
            page_parts.header(summary),
            series_tables.warnings(
                series.get("warnings", ()), self._warnings, self._indices, self._predicted
            ),
            _filters(self._kinds),
            *self._viewer(),
        ]
        after = ["</div>", *self._tables(series)]
        parts = itertools.chain(before, self._stored(), after)
        title = f"RadGrounder: series {series['key']}"
        return page_parts.save(path, title, parts, series_client.STYLE, series_client.SCRIPT)

    def close(self) -> None:
        """Removes the temporary file."""
        self._articles.close()

    def __enter__(self) -> "SeriesPage":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _viewer(self) -> list[str]:
        # What comes before the slices.
        none = "" if self._indices else '<p class="note">There are no slices.</p>'
        return [
            f'<section class="viewer"><h2>Slices</h2>{none}<p class="note hint" hidden>{_HINT}</p>',
            _player(len(self._indices)),
            *map(_controls, self._kinds),
            f'<div class="scroll strip">{"".join(self._strip)}</div><div class="slices">',
        ]

    def _tables(self, series: Mapping[str, Any]) -> list[str]:
        # What comes behind the slices.
        return [
            f'<p class="note">{esc(self._reduced())}</p></section>',
            f"<section><h2>Classes by slice</h2>{self._by_class.html(self._colours)}</section>",
            "<section><h2>Regions</h2>",
            series_tables.regions(series.get("regions", ()), self._colours),
            f'<p class="note">{_REGIONS}</p></section>',
        ]

    def _stored(self) -> Iterator[str]:
        # The blocks are cut behind tags, since a cut within a character could not be decoded.
        self._articles.seek(0)
        rest = b""
        while block := self._articles.read(_BLOCK):
            whole, cut, rest = (rest + block).rpartition(b">")
            yield (whole + cut).decode("utf-8")
        yield rest.decode("utf-8")

    def _lead(self, series: Mapping[str, Any]) -> str:
        what = " ".join(filter(None, (series.get("plane"), series.get("modality"))))
        count = f"{len(self._indices)} slice{'s' * (len(self._indices) != 1)}"
        return f"{what[0].upper()}{what[1:]}, {count}" if what else count

    def _facts(self, series: Mapping[str, Any]) -> dict[str, str]:
        modality = series.get("modality")
        if not modality:
            seen = " and ".join(self._modalities)
            modality = f"{seen}, which the files do not state" if seen else "unknown"
        count, every = series.get("count", len(self._indices)), series.get("every", 1)
        shown = len(self._indices)
        slices = str(count) if shown == count else f"{shown} of {count}"
        return {
            "modality": modality,
            "plane": series.get("plane") or "oblique or unknown",
            "slices": slices + (f" (every={every})" if every > 1 else ""),
            "predicted": f"{self._predicted} of {len(self._indices)}",
            "distance of slices": _mm(series.get("spacing_mm")),
            "thickness of slices": _mm(series.get("thickness_mm")),
            "spacing of pixels": self._spacing(),
            "pixels": _one(self._sizes, "several sizes"),
        }

    def _spacing(self) -> str:
        known = {s: None for s in self._spacings if s is not None}
        if len(self._spacings) != len(known):
            return "unknown" if not known else "not known of all slices"
        return _one([" × ".join(f"{v:.3g}" for v in s) + " mm" for s in known], "several")

    def _reduced(self) -> str:
        said = self._packer.said()
        if "ct" in self._kinds:
            said += (
                " CT is kept in 256 steps: of 1.2 HU between -10 and 90 HU, of up to 17 HU below, "
                "of 4 HU up to 220 HU, of 31 HU up to 1300 HU, and coarser above."
            )
        if "grey" in self._kinds:
            said += " Grey values are kept in 256 steps from the smallest to the largest."
        return said + " Small pictures are reduced further."


def _one(found: Iterable[str], several: str) -> str:
    found = list(found)
    return found[0] if len(found) == 1 else several if found else "unknown"


def _mm(value: float | None) -> str:
    return "unknown" if value is None else f"{value:g} mm"


def _filters(kinds: Iterable[str]) -> str:
    # Turn the stored values to what is shown; also without the script of the page.
    made = []
    for kind in kinds:
        values = pictures.table(*pictures.CT_PRESETS[0][1:]) if kind == "ct" else "0 1"
        each = "".join(f'<feFunc{c} type="table" tableValues="{values}"/>' for c in "RGB")
        made.append(
            f'<filter id="look-{kind}" color-interpolation-filters="sRGB" x="0" y="0" width="1" '
            f'height="1"><feComponentTransfer>{each}</feComponentTransfer></filter>'
        )
    return f'<svg class="filters" aria-hidden="true">{"".join(made)}</svg>'


def _player(count: int) -> str:
    return (
        '<div class="player" hidden><button type="button" data-step="-1" aria-label="previous '
        f'slice">◀</button><input type="range" min="0" max="{count - 1}" value="0" '
        'aria-label="slice"><button type="button" data-step="1" aria-label="next slice">▶</button>'
        '<output></output><label><input type="checkbox" class="marks" checked> marks</label></div>'
    )


def _controls(kind: str) -> str:
    if kind == "ct":
        presets = "".join(
            f'<button type="button" data-level="{level}" data-width="{width}" '
            f'aria-pressed="{"false" if n else "true"}" title="W {width}, L {level}">'
            f"{name}</button>"
            for n, (name, level, width) in enumerate(pictures.CT_PRESETS)
        )
        _, level, width = pictures.CT_PRESETS[0]
        values = " ".join(f"{v:.1f}" for v in pictures.CT_VALUES)
        sliders = (("level", -1000, 1500, level), ("width", 20, 3000, width))
    else:
        presets = '<button type="button" data-brightness="0" data-contrast="0">as drawn</button>'
        values, sliders = "", (("brightness", -100, 100, 0), ("contrast", -100, 100, 0))
    ranges = "".join(
        f'<label>{name} <input type="range" name="{name}" min="{low}" max="{high}" '
        f'value="{value}"><output>{value}</output></label>'
        for name, low, high, value in sliders
    )
    return (
        f'<div class="look" data-kind="{kind}" data-values="{values}" hidden>'
        f"<span>{presets}</span>{ranges}</div>"
    )
