"""Shows what the model sees: images, prompts, targets, boxes, tokens, lengths and classes.

    python -m tools.inspect_data --config=configs/demo.py --data_dir=data
    python -m tools.inspect_data --config=configs/radgrounder_det.py --dataset=slake --n=6
    python -m tools.inspect_data --config=configs/demo.py --eval=report

Writes a self-contained HTML page, and prints a short form of it without images. Training data are
shown in the order, and with the random choices, of a run with the same seed. --eval shows the rows
of an evaluation, which do not have the answer, with the reference beside them. Examples that cannot
be used are listed with the reason. The page shows ids of examples, but never a patient or a path.

    --config    config file, as path.py:arguments; any field can be overridden (--config.seed=1)
    --data_dir  the folder of the built datasets [data]
    --dataset   only this dataset of config.input.data [all]
    --eval      this evaluator of config.evals instead of training data
    --n         the number of examples to show, shared out among the datasets [12]
    --rows      the number of rows of each dataset to count, at most one epoch [500]
    --seed      the seed of the run [the config's]
    --out       the page [runs/inspect_<config>.html]
"""

import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import flags
from ml_collections import config_flags

from big_rad import finetune
from big_rad.config import overrides
from tools.inspection import page as inspect_page
from tools.inspection import stats as inspect_stats
from tools.inspection.example import where_of
from tools.inspection.rows import Row, Text, class_name
from tools.inspection.stats import Inspection

_BAR, _LINES, _BAD_SHOWN = 40, 12, 20


def report(part: Inspection) -> str:
    """Returns the text that is printed for a dataset or an evaluation."""
    c = part.counts
    kind = "evaluation, rows without the answer" if part.evaluation else "training"
    lines = [f"== {part.name} ({kind})"]
    lines += [f"{k:32s} {v}" for k, v in inspect_stats.facts(part).items()]
    if c.rows:
        lines += _lengths("tokens a row", c.row_tokens, part.buckets)
        lines += _lengths("tokens a text", c.text_tokens)
        if part.buckets:
            buckets = inspect_stats.in_buckets(c.row_tokens, part.buckets, part.length)
            lines += _shares("rows a length bucket", dict(buckets))
        lines += _shares("tasks", c.tasks) + _shares("languages", c.langs)
        lines += _shares("report prompts tell", c.styles)
        lines += _shares("question types", c.question_types)
        lines += _shares("boxes or masks", {"asked for": c.grounded, "not": c.texts - c.grounded})
        lines += _classes("grounded phrases", c.classes)
        lines += _classes("left out, class not in the slice", c.absent)
        lines += _classes("left out, shown but not marked", c.unmarked)
    if part.bad:
        lines += ["", f"bad examples: {len(part.bad)}"]
        lines += [f"  {i}: {reason}" for i, reason in part.bad[:_BAD_SHOWN]]
        more = len(part.bad) - _BAD_SHOWN
        lines += [f"  and {more} more"] if more > 0 else []
    for number, row in enumerate(part.rows, 1):
        lines += _example(number, row)
    return "\n".join(map(printable, lines))


def printable(text: str) -> str:
    """Returns a text in which characters that could control a terminal are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def run(
    config: Any,
    data_dir: str,
    *,
    dataset: str | None = None,
    evaluation: str | None = None,
    n: int = 12,
    rows: int = 500,
    seed: int | None = None,
) -> list[Inspection]:
    """Inspects all datasets of a config, one of them, or one evaluation.

    Args:
        config: the whole config.
        data_dir: the folder of the built datasets.
        dataset: the name of a dataset in `config.input.data`; None takes all of them.
        evaluation: the name of an evaluator in `config.evals`, which is inspected instead of
            training data; None inspects training data.
        n: the number of examples to show, shared out among the datasets.
        rows: the number of rows to count, for each dataset.
        seed: the seed of the run; None takes the config's.

    Raises:
        ValueError: there is no dataset or no evaluator of this name.
    """
    if evaluation is not None:
        return [inspect_stats.evaluation(config, evaluation, data_dir, n=n, limit=rows, seed=seed)]
    names = list(config.input.data) if dataset is None else [dataset]
    each = -(-n // max(len(names), 1))
    return [
        inspect_stats.training(config, name, data_dir, n=each, limit=rows, seed=seed)
        for name in names
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Reads the command line, writes the page and prints its short form."""
    argv = ["inspect_data", *(sys.argv[1:] if argv is None else argv)]
    values = _flags(argv)
    try:
        rest = overrides.parse(argv, values, finetune.fit)[1:]
    except (flags.Error, ValueError, OSError) as e:
        # The message may contain a traceback; its last line is the config's own error.
        sys.exit(_error(str(e).strip().splitlines()[-1]))
    if values.help:
        print(__doc__)
        return
    try:
        _check(values, rest)
        parts = run(
            values.config,
            values.data_dir,
            dataset=values.dataset,
            evaluation=values.eval,
            n=values.n,
            rows=values.rows,
            seed=values.seed,
        )
        path = _write(values, parts)
    except (flags.Error, ValueError, OSError) as e:
        sys.exit(_error(e))
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    print("\n\n".join(map(report, parts)))
    print(f"\npage: {path}, {path.stat().st_size / 1e6:.1f} MB")
    if not any(part.counts.rows for part in parts):
        sys.exit(_error("no example could be used; the reasons are above"))


def _flags(argv: list[str]) -> flags.FlagValues:
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", None, "", flag_values=values, sys_argv=argv)
    for name, default in (("data_dir", "data"), ("dataset", None), ("eval", None), ("out", None)):
        flags.DEFINE_string(name, default, "", flag_values=values)
    for name, default in (("n", 12), ("rows", 500), ("seed", None)):
        flags.DEFINE_integer(name, default, "", flag_values=values)
    flags.DEFINE_bool("help", False, "", flag_values=values)
    return values


def _check(values: flags.FlagValues, rest: Sequence[str]) -> None:
    if not values["config"].present or rest:
        raise flags.Error(f"give --config=configs/X.py{f', not {rest}' if rest else ''}")
    if values.dataset is not None and values.eval is not None:
        raise flags.Error("give either --dataset or --eval")
    for name in ("n", "rows"):
        if values[name].value < 1:
            raise flags.Error(f"--{name}={values[name].value}: must be at least 1")


def _write(values: flags.FlagValues, parts: Sequence[Inspection]) -> pathlib.Path:
    file, _, arg = values["config"].config_filename.partition(":")
    name = pathlib.PurePath(file).stem
    suffix = f"_{values.eval}" if values.eval else ""
    config = values.config
    facts = {
        "config": pathlib.PurePath(file).name + (f":{arg}" if arg else ""),
        "image": f"{config.image.size} px, {config.image.normalize}",
        "tokenizer": pathlib.PurePath(config.tokenizer.path).name,
        "rows a batch": config.input.batch_size,
    }
    out = values.out or f"runs/inspect_{name}{suffix}.html"
    return inspect_page.write(out, f"What the model sees: {name}", facts, parts)


def _error(e: object) -> int:
    print(f"error: {e}", file=sys.stderr)
    return 2


def _lengths(title: str, counter: Mapping[int, int], buckets: Sequence[int] = ()) -> list[str]:
    bins = inspect_stats.histogram(counter, most=_LINES, top=max(buckets, default=0))
    return _bars(title, [(f"{low}-{high}", n) for low, high, n in bins])


def _shares(title: str, counter: Mapping[Any, int]) -> list[str]:
    return _bars(title, [(str(k) or "not said", n) for k, n in counter.items()])


def _classes(title: str, counter: Mapping[int, int]) -> list[str]:
    ordered = sorted(counter.items(), key=lambda kv: (-kv[1], kv[0]))
    return _bars(title, [(f"{class_name(k) or 'no class'} ({k})", n) for k, n in ordered])


def _bars(title: str, items: Sequence[tuple[str, int]]) -> list[str]:
    total = sum(n for _, n in items)
    if not total:
        return ["", f"{title}: none"]
    top = max(n for _, n in items)
    lines = [
        f"  {name[:30]:30s} {n:7,} {n / total:6.1%} {'#' * round(_BAR * n / top)}".rstrip()
        for name, n in items
    ]
    return ["", f"{title}: {total:,}", *lines]


def _example(number: int, row: Row) -> list[str]:
    where = " ".join(filter(None, (row.modality, row.plane, row.body_part)))
    ranges = (f"{c.min():.2f}..{c.max():.2f}" for c in np.moveaxis(row.image, -1, 0))
    size = "x".join(map(str, row.image.shape[:2]))
    lines = ["", f"-- {number}. {row.id} {row.image_id} {where}".rstrip()]
    lines.append(f"   image {size}, channels {', '.join(ranges)}; {row.used} tokens in the row")
    for text in row.texts:
        lines += _text(row, text)
    if row.unplaced:
        lines.append(f"   {row.unplaced} more drawn, but there was no room")
    return lines


def _text(row: Row, text: Text) -> list[str]:
    kinds = [text.task, text.lang, text.question_type, text.style and f"tells {text.style}"]
    kinds += ["grounded" * text.grounded, "cut to fit" * text.cut]
    what = "target" if text.answered else "reference, not in the row"
    lines = [
        f"   text {text.segment}: {' '.join(filter(None, kinds))}",
        f"     prompt  {text.prompt!r}",
        f"     {what:7s} {text.suffix!r}",
    ]
    if text.entities:
        lines.append(f"     visible {text.visible!r}")
    lines += [
        f"     {e.phrase!r} = {e.class_name or 'no class'} ({e.class_id}): {where_of(e)}"
        for e in text.entities
    ]
    lines += [f"     left out: {p!r} = {class_name(k)} ({k}), {why}" for p, k, why in text.left_out]
    lines += [f"     markup: {problem}" for problem in text.problems]
    return lines + _ids(row, text)


def _ids(row: Row, text: Text) -> list[str]:
    """Returns the token ids of a text, with a line for each stretch of tokens of one role."""
    lines: list[str] = []
    role = None
    for token in (t for t in row.tokens if t.segment == text.segment):
        if token.role != role:
            role = token.role
            masks = f"ar={token.mask_ar} loss={token.mask_loss} segment={token.segment}"
            lines.append(f"     {token.position:4d} {role:9s} {masks}: ")
        lines[-1] += f" {token.id}"
    return lines


if __name__ == "__main__":
    main()
