from hypothesis import given
from hypothesis import strategies as st

from big_rad.grounding import plain


@given(st.text(alphabet="aäöüßÄeu\u0308\u0301 \u00a0-\u2011\u2013.x", max_size=30))
def test_places_of_plain_text_lead_back_to_the_written_text(text):
    read = plain.read(text)
    assert "ä" not in read.text and "ß" not in read.text and "\u2011" not in read.text
    edges = [read.start(i) for i in range(len(read.text))]
    assert edges == sorted(edges) and all(0 <= e < len(text) for e in edges)
    for i in range(len(read.text)):
        written = text[read.start(i) : read.end(i + 1)]
        assert written and read.text[i].lower() in plain.spelled(written).lower()


def test_plain_spelling_keeps_ascii_and_case():
    assert plain.spelled("Größe Über naïve") == "Groesse Ueber naive"
    assert plain.read("kidney").places is None
