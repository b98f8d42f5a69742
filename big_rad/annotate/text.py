"""Reads sentences, and prints the anatomy of each as one JSON line.

    python -m big_rad.annotate text --lang=de sentences.txt
    echo "No lesion in the left kidney." | python -m big_rad.annotate text --lang=en

The input has one sentence a line, in UTF-8; "-" is standard input. The output has one line of JSON
for each of them, an empty one too. Standard output holds nothing else; a summary goes to standard
error. Neither a config nor a model is read.
"""

import argparse
import codecs
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

from big_rad.annotate import comparison
from big_rad.grounding import classes, mentions

LANGS = ("en", "de")
_MANY = 20  # The fewest lines of which it is said that hardly any names anatomy.


def annotated(text: str, lang: str) -> dict[str, Any]:
    """Returns what the rules know about one sentence, as a line of JSON has it.

    Args:
        text: the sentence.
        lang: "en" or "de".

    Returns:
        A dict with these keys:

        text: the sentence.
        without_comparison: the sentence without its comparison with earlier studies; "" if nothing
            remains.
        had_comparison: whether the sentence compares with an earlier study.
        mentions: one dict for each mention of anatomy in `text`, in order: `keyword`, `start` and
            `end` (`keyword` is `text[start:end]`), `classes` (names of classes; empty if the side
            of an organ is unknown), `negated` (a finding at the organ is denied) and `absent` (the
            organ was removed or was never there, so it is no target).
    """
    return _line(text, comparison.remove(text, lang), lang)


def read(lines: Iterable[str], lang: str, out: TextIO, err: TextIO) -> int:
    """Annotates lines and writes one JSON line for each.

    Args:
        lines: the sentences, with or without their line breaks.
        lang: "en" or "de".
        out: where the JSON goes.
        err: where it is said which sentences were dropped, and why.

    Returns:
        The number of lines.
    """
    count = named = compared = dropped = 0
    for count, line in enumerate(lines, start=1):
        text = line.rstrip("\r\n")
        removal = comparison.remove(text, lang)
        found = _line(text, removal, lang)
        _write(out, json.dumps(found, ensure_ascii=False) + "\n")
        named += bool(found["mentions"])
        compared += removal.had
        if removal.reason:
            dropped += 1
            err.write(f"line {count}: dropped, {removal.reason}\n")
    err.write(
        f"{count} lines, {named} with anatomy, {compared} with a comparison, {dropped} of these "
        f"dropped\n"
    )
    if count >= _MANY and named < count / 20:
        err.write(f"hardly any line names anatomy; is the language of the text --lang={lang}?\n")
    return count


def main(argv: Sequence[str]) -> int:
    """Runs `python -m big_rad.annotate text`.

    Args:
        argv: the arguments behind `text`.

    Returns:
        The exit code: 0, or 1 if the input cannot be read.
    """
    parser = argparse.ArgumentParser(
        prog="python -m big_rad.annotate text", allow_abbrev=False, description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "--lang", required=True, choices=LANGS, help="the language of the sentences"
    )
    parser.add_argument(
        "file", nargs="?", help="one sentence a line; without it, or as -, standard input"
    )
    args = parser.parse_args(argv)
    try:
        read(_lines(args.file), args.lang, _utf8(sys.stdout), sys.stderr)
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stderr.close()  # The reader of the output has seen enough ("| head").
        return 0
    except KeyboardInterrupt:
        return 130
    except (OSError, ValueError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    return 0


def _write(out: TextIO, line: str) -> None:
    try:
        out.write(line)
    except BrokenPipeError:
        raise
    except OSError as e:
        raise OSError(f"standard output: {e.strerror}") from e


def _line(text: str, removal: comparison.Removal, lang: str) -> dict[str, Any]:
    return {
        "text": text,
        "without_comparison": removal.text,
        "had_comparison": removal.had,
        "mentions": [
            {
                "keyword": m.phrase,
                "start": m.start,
                "end": m.end,
                "classes": [classes.by_id(i).name for i in m.class_ids],
                "negated": m.negated,
                "absent": m.absent,
            }
            for m in mentions.find(text, lang)
        ],
    }


def _lines(file: str | None) -> Iterator[str]:
    """Yields lines, which end at line feeds only, as the users of other programs count them."""
    if file in (None, "-"):
        yield from _decoded(sys.stdin.buffer, "standard input")
        return
    try:
        lines = open(file, "rb")
    except OSError as e:
        raise OSError(f"{file}: {e.strerror}; give a file with one sentence a line") from e
    with lines:
        yield from _decoded(lines, file)


def _decoded(lines: Iterable[bytes], name: str) -> Iterator[str]:
    for number, raw in enumerate(lines, start=1):
        if number == 1:
            if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise ValueError(f"{name}: is UTF-16; convert it (iconv -f UTF-16 -t UTF-8)")
            raw = raw.removeprefix(codecs.BOM_UTF8)
        try:
            yield raw.decode("utf-8")
        except UnicodeDecodeError as e:
            raise ValueError(
                f"{name}: line {number}: byte {e.start + 1} is not UTF-8; convert the file, for "
                f"example with iconv -f WINDOWS-1252 -t UTF-8. The output ends before this line"
            ) from e


def _utf8(stream: TextIO) -> TextIO:
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(encoding="utf-8", newline="\n")
    return stream
