"""Takes out of a text what names the patient.

    scrubber = Scrubber(of_dicom(paths) | of_row(row))
    scrubber.all("Frau Müller, geb. 3.4.1965: Leber o. B.", "de").text
    # "Frau [name], geb. [date]: Leber o. B."

First this study's own identifiers go, in all their spellings, which is the strongest step. Then
goes what looks like an identifier. A model may add what it finds. Medicine stays: "L4/5",
"Morbus Crohn", "3.5 x 2 cm".
"""

import collections
import dataclasses
import importlib
from collections.abc import Callable, Iterable

from big_rad.annotate.deidentify import patterns, spelling
from big_rad.annotate.deidentify.identifiers import Identifiers
from big_rad.annotate.deidentify.known import Known
from big_rad.annotate.deidentify.patterns import Span
from big_rad.annotate.faults import Failed, Rejected
from big_rad.grounding import plain

KINDS = ("name", "date", "number", "contact", "place")
MOST_CHARACTERS = 1 << 22
Model = Callable[[str, str], list[tuple[int, int, str]]]


@dataclasses.dataclass(frozen=True)
class Scrubbed:
    """A text without identifiers.

    Attributes:
        text: the text, in which "[name]", "[date]", "[number]", "[contact]" and "[place]" stand for
            what was taken out.
        found: how many of each kind were taken out.
        doubtful: how many ordinary words were left that are also a name of the patient, such as
            "Stein", because nothing near them says that a person is meant.
    """

    text: str
    found: dict[str, int]
    doubtful: int = 0


class Scrubber:
    """Takes the identifiers of one study, and others, out of its texts.

    Args:
        identifiers: what names the patient of the study.
        patterns: whether `all` also takes out what looks like an identifier.
        model: a function that gets a text and its language and returns (start, end, kind) of what
            it takes for an identifier; `kind` is one of `KINDS`. It gets the text without what the
            rules found. None uses no model.
    """

    def __init__(
        self, identifiers: Identifiers, *, patterns: bool = True, model: Model | None = None
    ):
        self._known, self._patterns, self._model = Known(identifiers), patterns, model

    def known(self, text: str) -> Scrubbed:
        """Returns a text without this study's own identifiers.

        Raises:
            Rejected: the text has more than `MOST_CHARACTERS`.
        """
        if len(text) > MOST_CHARACTERS:
            raise Rejected(f"a text has more than {MOST_CHARACTERS} characters")
        read = spelling.read(text)
        spans, doubtful = self._known.find(read.text)
        return _replaced(text, [_back(read, s) for s in spans], doubtful)

    def all(self, text: str, lang: str, dates: bool = True) -> Scrubbed:
        """Returns a text without this study's identifiers, what looks like one, and the model's.

        Args:
            text: the text.
            lang: "en" or "de", for the model.
            dates: whether dates go as well that are not this study's. A comparison with an earlier
                study is known by its date, so a report keeps them until the comparison is gone.

        Raises:
            Rejected: the text has more than `MOST_CHARACTERS`.
            Failed: the model failed, or returned what is no place in the text.
        """
        done = self.known(text)
        if self._patterns:
            read = spelling.read(done.text)
            spans = [s for s in patterns.find(read.text) if dates or s.kind != "date"]
            done = _added(done, [_back(read, s) for s in spans])
        if self._model is not None:
            spans = _of_model(self._model, done.text, lang)
            done = _added(done, [s for s in spans if dates or s.kind != "date"])
        return done


def load_model(name: str) -> Model:
    """Returns the function of a config's "package.module:function".

    Raises:
        ValueError: there is no such function.
    """
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as e:
        raise ValueError(
            f"the scrubber {name!r} cannot be loaded ({type(e).__name__}); give "
            "package.module:function, and install its package"
        ) from None
    if not callable(found):
        raise ValueError(f"the scrubber {name!r} is no function")
    return found


def _of_model(model: Model, text: str, lang: str) -> list[Span]:
    failed = ""
    try:
        given = list(model(text, lang))
    except MemoryError:
        raise
    except Exception as e:  # Its message may quote the report.
        failed = f"the scrubber raised {type(e).__name__}"
    if failed:
        raise Failed(failed)
    spans = []
    for span in given:
        if not isinstance(span, tuple | list) or len(span) != 3:
            raise Failed("the scrubber returned something else than (start, end, kind)")
        start, end, kind = span
        if any(isinstance(n, bool) or not isinstance(n, int) for n in (start, end)):
            raise Failed("the scrubber returned a place that is no whole number")
        if not 0 <= start < end <= len(text) or kind not in KINDS:
            raise Failed("the scrubber returned a place outside the text, or an unknown kind")
        spans.append(Span(start, end, kind))
    return spans


def _added(done: Scrubbed, spans: list[Span]) -> Scrubbed:
    more = _replaced(done.text, spans, 0)
    found = collections.Counter(done.found) + collections.Counter(more.found)
    return Scrubbed(more.text, dict(sorted(found.items())), done.doubtful)


def _back(read: plain.Plain, span: Span) -> Span:
    return Span(read.start(span.start), read.end(span.end), span.kind)


def _replaced(text: str, spans: Iterable[Span], doubtful: int) -> Scrubbed:
    """Puts the names of the kinds in place of spans; overlapping spans become one."""
    marks = sorted(_marks(text))
    merged: list[Span] = []
    # Of overlapping spans the longest says what it is.
    for span in sorted(spans, key=lambda s: (s.start, -s.end)):
        if merged and span.start < merged[-1].end:
            last = merged[-1]
            longest = max((last, span), key=lambda s: s.end - s.start)
            merged[-1] = Span(last.start, max(last.end, span.end), longest.kind)
        elif span.end > span.start:
            merged.append(span)
    pieces: list[str] = []
    found: collections.Counter = collections.Counter()
    at = next_mark = 0
    for span in merged:
        start, end = span.start, span.end
        while next_mark < len(marks) and marks[next_mark][1] <= start:
            next_mark += 1
        inside = [m for m in marks[next_mark : next_mark + 64] if m[0] < end]
        if inside and inside[0][0] <= start and end <= inside[0][1]:
            continue  # This was taken out before.
        # What stands half in the span goes as a whole, so that no bracket is left alone.
        start = min([start, *(m[0] for m in inside)])
        end = max([end, *(m[1] for m in inside)])
        start = max(start, at)
        pieces += [text[at:start], f"[{span.kind}]"]
        found[span.kind] += 1
        at = end
    pieces.append(text[at:])
    return Scrubbed("".join(pieces), dict(sorted(found.items())), doubtful)


def _marks(text: str) -> Iterable[tuple[int, int]]:
    for kind in KINDS:
        mark, at = f"[{kind}]", text.find(f"[{kind}]")
        while at >= 0:
            yield at, at + len(mark)
            at = text.find(mark, at + 1)
