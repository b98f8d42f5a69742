import datetime
import time
import unicodedata

import hypothesis
import pytest
from hypothesis import strategies as st

from big_rad.annotate.deidentify.identifiers import Identifiers
from big_rad.annotate.deidentify.texts import KINDS, Scrubber, load_model
from big_rad.annotate.faults import Failed, Rejected
from tests.helpers import scrub_sentences

NOBODY = Scrubber(Identifiers())


def of(*, names=(), numbers=(), dates=(), places=()):
    return Scrubber(Identifiers(*map(frozenset, (names, numbers, dates, places))), patterns=False)


@pytest.mark.parametrize("lang", ["de", "en"])
@pytest.mark.parametrize("text", scrub_sentences.MEDICINE)
def test_medicine_stays(text, lang):
    assert NOBODY.all(text, lang).text == text
    # Nor does a study with usual identifiers change it.
    usual = of(names=["Mustermann Erika", "von der Heide Hans"], numbers=["4711", "P-0001234"],
               dates=["1965-08-17", "2021-04-05"], places=["Klinikum Musterstadt"])  # fmt: skip
    assert usual.known(text).text == text


def test_medicine_stays_in_one_long_report():
    text = "\n".join(scrub_sentences.MEDICINE)
    assert len(scrub_sentences.MEDICINE) >= 150
    greeting = "Mit freundlichen"
    text = "\n".join(line for line in text.splitlines() if greeting not in line)
    assert NOBODY.all(text, "de").text == text


@pytest.mark.parametrize(("text", "planted"), list(scrub_sentences.identified()))
def test_what_looks_like_an_identifier_goes(text, planted):
    done = NOBODY.all(text, "de")
    assert not [word for word in planted if word in done.text], done.text
    assert sum(done.found.values()) >= 1 and set(done.found) <= set(KINDS)
    assert NOBODY.all(done.text, "de").text == done.text


def test_there_are_enough_sentences_with_identifiers():
    assert len(scrub_sentences.IDENTIFIED) >= 100


MUELLER = ["Müller", "MÜLLER", "müller", "Mueller", "MUELLER", "Muller", "Müllers", "Mueller's",
           "Mu\u0308ller", "Herr Müller", "E. Müller", "Müller, E.", "Müller, Erika",
           "Erika Müller", "ERIKA MUELLER", "Müller  Erika", "Müller\nErika", "Mül-\nler",
           "M ü l l e r",
           "Müller-Lüdenscheidt", "Lüdenscheidt", "Luedenscheidts", "Müller - Lüdenscheidt",
           "Dr. E. Müller-Lüdenscheidt", "MüllerErika", "mueller_erika", "Erika",
           "PatMüller"]  # fmt: skip


@pytest.mark.parametrize("written", MUELLER)
@pytest.mark.parametrize(
    "name",
    ["Müller-Lüdenscheidt^Erika", "MUELLER-LUEDENSCHEIDT^ERIKA", "Muller Ludenscheidt, Erika",
     "Erika Müller-Lüdenscheidt"],
)  # fmt: skip
def test_a_name_is_found_in_every_spelling(name, written):
    done = of(names=[name.replace("^", " ")]).known(f"Bei {written} ist die Leber frei.")
    left = done.text.replace("[name]", "").replace("Bei", "").replace("ist die Leber frei.", "")
    assert left.replace("Herr", "").replace("Dr.", "").strip(" '.,") in ("", "s", "-", "_")
    assert done.found["name"] >= 1


@pytest.mark.parametrize(
    ("name", "written"),
    [("Groß^Jan", "Gross, Jan"), ("Weiss^Ida", "Ida Weiß"), ("O'Brien^Ann", "OBrien"),
     ("O'Brien^Ann", "O\u2019Brien"), ("Özdemir^Ali", "Ozdemir"), ("Łukasz^Jan", "Lukasz"),
     ("Anne-Marie", "Annemarie"), ("von der Heide^Hans", "Hans von der Heide"),
     ("Strauß^Ole", "STRAUSS"), ("Sjöström^Åsa", "Sjostrom"), ("Иванов^Иван", "Иванов"),
     ("Jørgensen^Per", "Jorgensen"), ("Nguyễn^An", "Nguyen"), ("Doe^Jane^Q", "Jane Q. Doe"),
     ("Doe^Jane", "J. Doe"), ("Al^Ben", "Ben"), ("Le^Van An", "Le, An"),
     ("Kim^Jo", "Kim"), ("Meyer^Jo", "Meier"), ("Kaminski^Jo", "Kaminsky"),
     ("Schultze^Max=漢字", "Schultze")],
)  # fmt: skip
def test_other_names_and_spellings(name, written):
    assert of(names=[name.replace("^", " ")]).known(f"x {written} y").text in (
        "x [name] y", "x von der [name] y"
    )  # fmt: skip


@pytest.mark.parametrize("written", ["3.4.2021", "03.04.2021", "03.04.21", "3.4.21", "2021-04-03",
    "3. April 2021", "3 April 2021", "3 Apr 2021", "April 3, 2021", "Apr 3rd, 2021", "03/04/2021",
    "04/03/2021", "20210403", "03042021", "03. 04. 2021", "3.IV.2021", "2021/04/03",
    "3.\u00a0April\u00a02021", "03 04 2021", "3/4/21", "03-APR-2021"])  # fmt: skip
@pytest.mark.parametrize("date", ["20210403", "2021-04-03", "3.4.2021"])
def test_a_date_is_found_in_every_notation(date, written):
    assert of(dates=[date]).known(f"CT vom {written}, Leber.").text == "CT vom [date], Leber."


def test_an_address_of_mail_goes_whole_although_the_name_in_it_was_found_first():
    scrubber = Scrubber(Identifiers(names=frozenset(["Zwiebel Zoe"])))
    assert scrubber.all("Mail: zoe.zwiebel7@web.de", "de").text == "Mail: [contact]"


def test_other_dates_are_left_to_the_patterns():
    scrubber = of(dates=["2021-04-03"])
    assert scrubber.known("vom 4.4.2021").text == "vom 4.4.2021"


@pytest.mark.parametrize(
    "written",
    ["4711223", "4711 223", "4711-223", "4711.223", "4 711 223", "004711223", "4711/223",
     "ID4711223", "4711\u00a0223", "00 4711 223"],
)  # fmt: skip
@pytest.mark.parametrize("number", ["4711223", "0004711223", "4711-223"])
def test_a_number_is_found_in_every_notation(number, written):
    done = of(numbers=[number]).known(f"Nr. {written} x")
    assert done.text in ("Nr. [number] x", "Nr. ID[number] x")


@pytest.mark.parametrize(
    ("number", "text"),
    [("1", "1 Zyste, L1"), ("12", "12 mm"), ("L5", "L5"), ("TH12", "Th12"), ("1200", "1200 ml"),
     ("1234", "12.34 cm"), ("35", "3.5 cm"), ("400", "Imeron 400"), ("T2", "T2 w")],
)  # fmt: skip
def test_short_numbers_do_not_touch_measurements(number, text):
    assert of(numbers=[number]).known(text).text == text


def test_zeros_before_a_short_number_make_it_a_number_of_a_patient():
    scrubber = of(numbers=["s0001", "0012"])
    assert (
        scrubber.known("Fall s0001, S1, 0012, 12 mm").text == "Fall [number], S1, [number], 12 mm"
    )


def test_a_text_without_end_is_rejected():
    with pytest.raises(Rejected, match="characters"):
        NOBODY.known("a" * (1 << 23))


def test_ordinary_words_go_only_where_a_person_is_meant_and_doubt_is_counted():
    scrubber = of(names=["Stein Klein"])
    assert of(names=["Lange Ida"]).known("Lange bekannte Zyste").text == "Lange bekannte Zyste"
    text = "Kein Stein im kleinen Ureter, klein und rund."
    done = scrubber.known(text)
    assert done.text == text and done.doubtful == 1
    for written in ("Frau Stein", "Klein, Stein", "S. Stein", "Herrn Klein"):
        assert "tein" not in scrubber.known(f"Bei {written}: Leber").text
        assert "lein" not in scrubber.known(f"Bei {written}: Leber").text
    assert scrubber.known("Befund bei Klein ohne Zyste").text == "Befund bei [name] ohne Zyste"


def test_an_eponym_goes_only_if_the_patient_is_named_so():
    assert of(names=["Crohn Max"]).known("Morbus Crohn").text == "Morbus [name]"
    assert of(names=["Weber Max"]).known("Morbus Crohn").text == "Morbus Crohn"


def test_institutions_go_as_phrases_and_by_their_telling_words():
    scrubber = of(places=["Universitätsklinikum Musterstadt", "Institut für Radiologie"])
    text = (
        "Universitaetsklinikum Musterstadt, Klinikum, Radiologie, Musterstadt, "
        "Institut für Radiologie"
    )
    assert scrubber.known(text).text == "[place], Klinikum, Radiologie, [place], [place]"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_composed_and_decomposed_texts_are_the_same(form):
    text = unicodedata.normalize(form, "Frau Müßigbröd und Herr Jäger")
    assert NOBODY.all(text, "de").text == "Frau [name] und Herr [name]"


def test_the_rest_of_a_text_keeps_its_characters():
    text = "Größe\u00a05\u202fmm \u2013 Frau Müller\r\n\tÜbergang"
    assert NOBODY.all(text, "de").text == text.replace("Müller", "[name]")


# Names made of syllables that make no usual word.
NAMES = st.lists(st.sampled_from("kro zwi bül dör mäx fjo gna pluß quez tsch".split()), min_size=2,
                 max_size=3).map(lambda p: "".join(p).capitalize())  # fmt: skip
BEFORE = st.sampled_from(["Herr ", "Patient ", "", "Bei ", "Dr. ", "(", "\n", "x, ", "von "])
AFTER = st.sampled_from(
    [" hat Schmerzen.", "", ".", ",", " Leber", "\n", ")", ": o. B.", "s Niere"]
)


def spellings(first, last):
    plain = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
    bare = str.maketrans({"ä": "a", "ö": "o", "ü": "u", "ß": "ss"})
    for spelled in (
        str, str.upper, str.lower, lambda s: s.translate(plain), lambda s: s.translate(bare),
        lambda s: unicodedata.normalize("NFD", s),
    ):  # fmt: skip
        yield spelled(last)
        yield spelled(f"{last}, {first}")
        yield spelled(f"{first} {last}")
        yield spelled(f"{first}-{last}")
        yield f"{first[0]}. {spelled(last)}"


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(NAMES, NAMES, BEFORE, AFTER)
def test_no_spelling_of_a_name_stays(first, last, before, after):
    scrubber = of(names=[f"{last} {first}"])
    for written in spellings(first, last):
        done = scrubber.known(before + written + after)
        folded = unicodedata.normalize("NFC", done.text).lower()
        for name in (first, last, written):
            assert name.lower() not in folded
        assert done.found == {"name": done.text.count("[name]")}


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(st.integers(10_000_000, 10**12), st.integers(0, 3), st.sampled_from(" -./"),
                  st.integers(1, 6))  # fmt: skip
def test_no_notation_of_a_number_stays(number, zeros, mark, size):
    digits = str(number)
    groups = [digits[k : k + size] for k in range(0, len(digits), size)]
    written = "0" * zeros + mark.join(groups)
    hypothesis.assume(len(groups) <= 12)
    text = of(numbers=["00" + digits]).known(f"Leber {written} Milz").text
    assert text == "Leber [number] Milz"


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(st.dates(datetime.date(1920, 1, 1), datetime.date(2030, 1, 1)))
def test_no_notation_of_a_date_stays(date):
    scrubber = of(dates=[date.isoformat()])
    for form in ("%d.%m.%Y", "%d.%m.%y", "%Y-%m-%d", "%d %B %Y", "%B %d, %Y", "%d. %b %Y", "%Y%m%d",
                 "%d/%m/%Y", "%m/%d/%Y"):  # fmt: skip
        assert scrubber.known(f"Am {date.strftime(form)} Leber").text == "Am [date] Leber"


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(st.lists(st.sampled_from(
    [s for s in scrub_sentences.MEDICINE if "freundlich" not in s]), max_size=6))  # fmt: skip
def test_a_text_without_identifiers_comes_back_unchanged(sentences):
    text = " ".join(sentences)
    assert NOBODY.known(text).text == text
    text = "\n".join(sentences)
    assert NOBODY.all(text, "de").text == text and NOBODY.all(text, "de").found == {}


@hypothesis.settings(max_examples=80, deadline=None)
@hypothesis.given(st.text(max_size=200), st.sets(st.text(max_size=12), max_size=4))
def test_any_text_and_any_identifier_can_be_read(text, words):
    frozen = frozenset(words)
    scrubber = Scrubber(Identifiers(frozen, frozen, frozen, frozen))
    done = scrubber.all(text, "de")
    assert scrubber.known(done.text).text.count("[") >= done.text.count("[")


def test_a_long_text_takes_little_time():
    text = " ".join(scrub_sentences.MEDICINE) * 6
    many = Identifiers(frozenset(f"Name{k:c}{k:c}mann" for k in range(97, 120)),
                       frozenset(str(10**7 + k) for k in range(2000)))  # fmt: skip
    scrubber = Scrubber(many)

    def taken(content):
        began = time.process_time()
        scrubber.all(content, "de")
        return time.process_time() - began

    for part in ("A", "1 ", "Frau Aa-", "a.b.", "geb. A. ", "("):
        assert taken(part * (30_000 // len(part))) < 3  # In seconds; quadratic time takes minutes.
    assert taken(text[:30_000]) < 3


def found_by(spans):
    return Scrubber(Identifiers(), model=lambda text, lang: spans)


def test_a_model_adds_what_it_finds():
    def model(text, lang):
        at = text.index("Herold")
        assert "[name]" in text and lang == "de"
        return [(at, at + 6, "name"), (at, at + 3, "place")]

    done = Scrubber(Identifiers(), model=model).all("Frau Müller, Herold: Leber", "de")
    assert done.text == "Frau [name], [name]: Leber" and done.found == {"name": 2}


@pytest.mark.parametrize(
    "spans",
    [[(0, 99, "name")], [(-1, 2, "name")], [(3, 3, "name")], [(0, 2, "color")], [(0, 2)], [None],
     [(True, 2, "name")], [("0", 2, "name")], [(0, 2.0, "name")], None],
)  # fmt: skip
def test_an_answer_of_a_model_that_makes_no_sense_fails(spans):
    with pytest.raises(Failed):
        found_by(spans).all("Leber o. B.", "de")


def test_a_model_that_raises_fails_without_its_words():
    def model(text, lang):
        raise RuntimeError(text)

    with pytest.raises(Failed, match="RuntimeError") as caught:
        Scrubber(Identifiers(), model=model).all("Canari", "de")
    assert "Canari" not in str(caught.value) and caught.value.__context__ is None


def test_a_span_that_cuts_a_mark_takes_it_whole():
    assert found_by([(3, 8, "place")]).all("Frau Müller ist da", "de").text == "Fra[place] ist da"


def test_a_model_is_loaded_by_its_name():
    assert load_model("json:loads")("[]") == []
    for name in ("json", "json:nothing", "no.such:thing", ":", "json:__name__"):
        with pytest.raises(ValueError, match="scrubber"):
            load_model(name)


@pytest.mark.parametrize("text", ["P37: Leber frei.", "Leber frei (S37).", "007 Leber frei."])
def test_a_short_number_of_the_row_goes_where_it_is_no_measurement(text):
    done = of(numbers=["P37", "S37", "007", "S7", "T12"]).known(text)
    assert done.found == {"number": 1} and "Leber frei" in done.text
    plain = "Segment S7, BWK T12, 12 cm, 0.007 mm und 1.007."
    assert of(numbers=["007", "S7", "T12", "12"]).known(plain).text == plain
