"""Tests of anatomy that only names an examination."""

import pytest

from tests.helpers import anatomy


@pytest.mark.parametrize(
    "lang, text",
    [
        ("en", "MRI of the liver and spleen, axial T2."),
        ("en", "Liver protocol MRI with contrast agent."),
        ("en", "Scan range: skull base to C7."),
        ("en", "CT of the thoracic spine was performed."),
        ("de", "MRT der LWS sagittal."),
        ("de", "CT Schädel nativ."),
        ("de", "Untersuchungsbereich: Schädelbasis bis LWK 5."),
        ("de", "Von den Lungenspitzen bis zur Symphyse."),
    ],
)
def test_an_examination_and_its_range_name_no_organ(lang, text):
    assert anatomy.found(text, lang)[0] == set()


@pytest.mark.parametrize(
    "lang, text",
    [
        ("en", "MRI of the liver shows a cyst."),
        ("en", "CT of the liver without lesion."),
        ("de", "CT der Leber ohne Herd."),
        ("de", "In der MRT der Leber findet sich eine Zyste."),
    ],
)
def test_an_organ_counts_if_the_sentence_states_a_finding(lang, text):
    assert anatomy.found(text, lang)[0] == {"liver"}
