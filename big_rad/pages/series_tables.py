"""The tables on the page of a series: warnings, classes by slice, and regions.

Every text is escaped.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from big_rad.pages.parts import esc
from big_rad.pages.series_slices import SliceView, colour_of, fold, key_of, sureness

_DENSE = 32  # With more slices than this, cells are narrow and have no numbers.
_OPEN = 6  # Up to this number of warnings are shown unfolded.
_REGION_HEADS = (
    "region", "slices", "extent in mm", "volume in ml", "best slice", "confidence", "notes",
)  # fmt: skip


class ByClass:
    """Collects which classes are marked on which slices."""

    def __init__(self):
        self._slices: list[int] = []
        # Class -> slice -> (highest confidence or None, its words, number of entities).
        self._found: dict[str, dict[int, tuple[float | None, str, int]]] = {}

    def add(self, one: SliceView) -> None:
        """Adds a slice, the slices in their order."""
        self._slices.append(one.index)
        for entity in one.prediction.entities if one.prediction else ():
            if entity.box is None:
                continue
            row = self._found.setdefault(key_of(entity), {})
            value = entity.confidence.value if entity.confidence else None
            before, words, count = row.get(one.index, (None, sureness(None), 0))
            if value is not None and (before is None or value > before):
                before, words = value, sureness(entity.confidence)
            row[one.index] = (before, words, count + 1)

    def html(self, colours: Mapping[str, int]) -> str:
        """Returns the table as HTML.

        Args:
            colours: `key_of` an entity -> the number of its colour.
        """
        if not self._found:
            return '<p class="note">Nothing is marked on any slice.</p>'
        dense = len(self._slices) > _DENSE
        every = 10 if dense else 1
        heads = "".join(
            f'<th data-slice="{k}">{k if n % every == 0 else ""}</th>'
            for n, k in enumerate(self._slices)
        )
        rows = []
        for name in sorted(self._found, key=lambda n: (min(self._found[n]), n)):
            row = self._found[name]
            cells = "".join(_cell(name, k, row.get(k)) for k in self._slices)
            rows.append(
                f'<tr class="{colour_of(name, colours)}"><th scope="row"><i class="swatch"></i>'
                f"{esc(name)} <small>{len(row)}</small></th>{cells}</tr>"
            )
        note = "A cell says how confident the model is of a class on a slice"
        note += "; its number is shown where you point" if dense else ", in hundredths (•: unknown)"
        return (
            f'<div class="scroll"><table class="matrix{" dense" * dense}"><thead><tr>'
            f"<th>class</th>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
            f'<p class="note">{note}. The stronger its colour, the higher. Entities without a '
            "place are only in the text of their slice.</p>"
        )


def _cell(name: str, index: int, found: tuple[float | None, str, int] | None) -> str:
    if found is None:
        return f'<td data-slice="{index}"></td>'
    value, words, count = found
    several = f", the highest of {count}" if count > 1 else ""
    title = esc(f"{name}, slice {index}: {words}{several}")
    shown = "•" if value is None else f"{100 * value:.0f}"
    return (
        f'<td data-slice="{index}" style="--p:{0.5 if value is None else value:.2f}">'
        f'<a href="#s{index}" title="{title}">{shown}</a></td>'
    )


def regions(found: Sequence[Mapping[str, Any]], colours: Mapping[str, int]) -> str:
    """Returns the table of regions as HTML.

    Args:
        found: the regions, see `regions.region_json`.
        colours: `key_of` an entity -> the number of its colour.
    """
    if not found:
        return '<p class="note">There are no regions.</p>'
    heads = "".join(f'<th scope="col">{h}</th>' for h in _REGION_HEADS)
    rows = "".join(_region(r, colours) for r in found)
    return (
        f'<div class="scroll"><table class="regions"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _region(r: Mapping[str, Any], colours: Mapping[str, int]) -> str:
    phrases = ", ".join(r["phrases"])
    name = (r["class_name"] or phrases).replace("_", " ")
    key = name if r["class_name"] else fold(r["phrases"][0])
    words = f"<small>{esc(phrases)}</small>" if r["class_name"] and phrases != name else ""
    sizes = [r["extent_mm"][axis] for axis in "xyz"]
    extent = " × ".join("?" if v is None else f"{v:.0f}" for v in sizes)
    sure = r["confidence"]
    best = "–" if sure["slice"] is None else _link(sure["slice"])
    value = "–"
    if sure["mean"] is not None:
        more = f"highest {sure['highest']:.2f}, {esc(sure['status'])}"
        value = f"{sure['mean']:.2f} <small>{more}</small>"
    marked = len(r["slices"])
    first, last = r["first_slice"], r["last_slice"]
    ends = str(first) if first == last else f"{first}–{last}"
    cells = (
        f"{ends} <small>marked on {marked}</small>",
        "–" if all(v is None for v in sizes) else extent,
        "–" if r["volume_ml"] is None else f"{r['volume_ml']:.1f}",
        best,
        value,
        f"<small>{'; '.join(map(esc, r['notes']))}</small>",
    )
    return (
        f'<tr class="{colour_of(key, colours)}"><th scope="row"><i class="swatch"></i>'
        f"{r['number']}. {esc(name)} {words}</th>"
        + "".join(f"<td>{c}</td>" for c in cells)
        + "</tr>"
    )


def _link(index: int) -> str:
    return f'<a href="#s{index}">{index}</a>'


def warnings(
    of_series: Iterable[str],
    of_slices: Mapping[str, Sequence[int]],
    among: Sequence[int],
    predicted: int,
) -> str:
    """Returns the warnings as HTML, each once; "" if there are none.

    Args:
        of_series: the warnings about the series.
        of_slices: each warning about slices -> the numbers of these slices.
        among: the numbers of all slices on the page.
        predicted: how many of them have a prediction.
    """
    rows = [f"<li>{esc(w)}</li>" for w in dict.fromkeys(of_series)]
    for text, found in of_slices.items():
        which = f"slice{'s' * (len(found) > 1)} {ranges(found, among)}"
        if len(found) in (predicted, len(among)) and len(found) > 1:
            which = "all slices" if len(found) == len(among) else "all predicted slices"
        rows.append(f"<li>{esc(text)} <small>{which}</small></li>")
    if not rows:
        return ""
    unfolded = " open" if len(rows) <= _OPEN else ""
    return (
        f'<details class="warnings"{unfolded}><summary>Warnings ({len(rows)})</summary>'
        f"<ul>{''.join(rows)}</ul></details>"
    )


def ranges(numbers: Sequence[int], among: Sequence[int]) -> str:
    """Returns ascending numbers as text: "0–3, 7".

    Args:
        numbers: some of the numbers in `among`.
        among: all numbers. Those that follow each other here become one range, so 0 and 2 do if 1
            is not there.
    """
    at = {k: n for n, k in enumerate(among)}
    parts: list[list[int]] = []
    for k in numbers:
        if parts and at[k] == at[parts[-1][1]] + 1:
            parts[-1][1] = k
        else:
            parts.append([k, k])
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in parts)
