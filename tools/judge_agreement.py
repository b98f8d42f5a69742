"""Measures how well a judge agrees with people, from a table of ratings.

    python -m tools.judge_agreement ratings.csv --judge=llm --out=agreement.svg

The table is CSV with a header: the first column has ids, and each other column has the ratings of
one rater. Columns are separated by commas, semicolons or tabs; 3.5 and 3,5 are the same number. An
empty cell, NA or a dash means that the item was not rated. It prints Krippendorff's alpha of the
people (nominal, ordinal and interval), and the Pearson and Spearman correlations of the judge with
each of them and with their mean. --out draws the judge's ratings over the mean of the people.
"""

import argparse
import csv
import io
import math
import pathlib
import re
import sys
from collections.abc import Sequence
from html import escape

import numpy as np

from big_rad import files
from big_rad.metrics import agreement

_SIDE, _EDGE = 420, 56  # The side and the margin of the picture in pixels.
_NOT_RATED = ("", "na", "n/a", "nan", "null", "none", "-", "\u2013", "\u2014", ".")
_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d*)?|[+-]?[.,]\d+")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the command line; returns its exit code."""
    args = _parser().parse_args(argv)
    try:
        ratings = read(args.table)
        if args.judge not in ratings:
            raise ValueError(
                f"--judge={args.judge}: {args.table} has the raters {', '.join(ratings)}"
            )
        judge = ratings.pop(args.judge)
        if not ratings:
            raise ValueError(f"{args.table}: there is no rater but {args.judge}")
        print(report(judge, ratings))
        if args.out:
            mean = _mean(list(ratings.values()))
            files.write_whole(args.out, scatter(mean, judge, args.judge))
    except (OSError, ValueError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    return 0


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads a table of ratings.

    Returns:
        rater -> ratings, f64 [items]; NaN where an item was not rated.

    Raises:
        ValueError: there are no raters, two columns have the same name, a line has another number
            of cells than the header, or a rating is not a number.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as e:
        raise ValueError(f"{path} is not UTF-8; save it as CSV in UTF-8") from e
    said = re.match(r"sep=(.)\r?\n", text)  # Spreadsheets may write the separator like this.
    text = text[said.end() :] if said else text
    head = text.partition("\n")[0]
    mark = said[1] if said else max(",;\t", key=head.count)
    lines = csv.reader(io.StringIO(text), delimiter=mark)
    rows = [(lines.line_num + bool(said), row) for row in lines if row]
    if len(rows) < 2 or len(rows[0][1]) < 2:
        raise ValueError(f"{path}: needs a header, a column of ids, and one column a rater")
    header = [n.strip() for n in rows[0][1]]
    names, twice = header[1:], sorted({n for n in header if header.count(n) > 1})
    if twice:
        listed = ", ".join(map(repr, twice))
        raise ValueError(
            f"{path}: each column needs a name of its own, and there is {listed} twice"
        )
    table = []
    for number, row in rows[1:]:
        if len(row) != len(names) + 1:
            raise ValueError(f"{path}:{number}: {len(row)} cells, the header has {len(names) + 1}")
        table.append([_rating(c, n, f"{path}:{number}") for n, c in zip(names, row[1:])])
    return dict(zip(names, np.array(table).T, strict=True))


def _rating(cell: str, name: str, where: str) -> float:
    cell = cell.strip()
    if cell.lower() in _NOT_RATED:
        return math.nan
    if not _NUMBER.fullmatch(cell):
        raise ValueError(
            f"{where}: could not convert {cell!r} of {name} to a number; leave a cell empty where "
            "not rated"
        )
    return float(cell.replace(",", "."))


def report(judge: np.ndarray, people: dict[str, np.ndarray]) -> str:
    """Returns the coefficients as Markdown.

    Args:
        judge: the ratings of the judge, [items].
        people: rater -> ratings, [items].
    """
    lines = [f"{len(judge)} items, {len(people)} people", ""]
    if len(people) > 1:
        lines += ["| Krippendorff's alpha of | nominal | ordinal | interval |", "|---|---|---|---|"]
        groups = {"people": [*people.values()], "people and judge": [*people.values(), judge]}
        for name, table in groups.items():
            values = [agreement.krippendorff(table, level) for level in agreement.LEVELS]
            lines.append(f"| {name} | {' | '.join(f'{v:.3f}' for v in values)} |")
        lines.append("")
    lines += ["| judge with | Pearson | Spearman | items |", "|---|---|---|---|"]
    sides = dict(people)
    if len(people) > 1:
        sides["their mean"] = _mean([*people.values()])
    for name, other in sides.items():
        both = int((~np.isnan(judge) & ~np.isnan(other)).sum())
        pearson, spearman = agreement.pearson(judge, other), agreement.spearman(judge, other)
        lines.append(f"| {name} | {pearson:.3f} | {spearman:.3f} | {both} |")
    return "\n".join(lines)


def scatter(people: np.ndarray, judge: np.ndarray, name: str) -> str:
    """Returns an SVG that plots the judge's ratings over the mean ratings of people.

    Args:
        people: the mean ratings of people, [items].
        judge: the ratings of the judge, [items].
        name: the name of the judge, for the axis.
    """
    both = ~np.isnan(people) & ~np.isnan(judge)
    x, y = people[both], judge[both]
    low, high = (float(f(np.concatenate([x, y]))) if len(x) else 0.0 for f in (np.min, np.max))
    span = (high - low) or 1.0

    def at(value: float) -> float:
        return _EDGE + (value - low) / span * (_SIDE - 2 * _EDGE)

    # Equal pairs of ratings are one dot, which grows with their number.
    pairs, counts = np.unique(np.stack([x, y], axis=1), axis=0, return_counts=True)
    dots = "".join(
        f'<circle cx="{at(a):.1f}" cy="{_SIDE - at(b):.1f}" r="{3 + 1.5 * math.sqrt(n):.1f}">'
        f"<title>{a:g}, {b:g}: {n}</title></circle>"
        for (a, b), n in zip(pairs, counts, strict=True)
    )
    ticks = "".join(
        f'<text x="{at(v):.1f}" y="{_SIDE - _EDGE + 28}" text-anchor="middle">{v:g}</text>'
        f'<text x="{_EDGE - 20}" y="{_SIDE - at(v) + 4:.1f}" text-anchor="end">{v:g}</text>'
        for v in (np.linspace(low, high, 5) if len(x) else ())
    )
    a, b = _EDGE, _SIDE - _EDGE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIDE} {_SIDE}" '
        'font-family="sans-serif" font-size="13" fill="#1b2530">'
        f'<rect width="{_SIDE}" height="{_SIDE}" fill="#fff"/>'
        f'<path d="M{a} {b}H{b}M{a} {b}V{a}" stroke="#8894a0" fill="none"/>'
        f'<path d="M{a} {b}L{b} {a}" stroke="#8894a0" stroke-dasharray="4 4"/>'
        f'<g fill="#0072b2" fill-opacity="0.6">{dots}</g>{ticks}'
        f'<text x="{_SIDE / 2}" y="{_SIDE - 8}" text-anchor="middle">mean of people</text>'
        f'<text transform="translate(14 {_SIDE / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(name)}</text></svg>\n"
    )


def _mean(people: Sequence[np.ndarray]) -> np.ndarray:
    table = np.stack(people)
    counted = ~np.isnan(table)
    total, n = np.where(counted, table, 0).sum(axis=0), counted.sum(axis=0)
    return np.where(n > 0, total / np.maximum(n, 1), math.nan)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.judge_agreement",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("table", type=pathlib.Path, help="CSV: ids, then a column a rater")
    parser.add_argument("--judge", required=True, help="the column of the judge")
    parser.add_argument("--out", type=pathlib.Path, help="an SVG: the judge over people's mean")
    return parser


if __name__ == "__main__":
    sys.exit(main())
