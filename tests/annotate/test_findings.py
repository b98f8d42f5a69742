import doctest

import pytest

from big_rad.annotate import findings
from big_rad.grounding import classes


def read(text, lang):
    """(found, normal) of a text, with the names of classes."""
    facts = findings.read(text, lang)
    found = {(name, classes.by_id(c).name): v for (name, c), v in facts.found.items()}
    return found, {classes.by_id(c).name: v for c, v in facts.normal.items()}


STATED = [
    ("en", "Left renal cyst.", "cyst", ["kidney_left"]),
    ("de", "Lebermetastasen.", "metastasis", ["liver"]),
    ("de", "Fraktur der 5. Rippe links.", "fracture", ["rib_left_5"]),
    ("de", "Thrombus in der Pfortader.", "thrombus", ["portal_vein_and_splenic_vein"]),
    ("en", "In the left kidney, there is a 3 mm stone.", "stone", ["kidney_left"]),
    ("en", "Cysts in both kidneys.", "cyst", ["kidney_left", "kidney_right"]),
    ("en", "Unchanged cyst in the left kidney.", "cyst", ["kidney_left"]),
    ("en", "No evidence of fracture; a lesion is present in the sternum.", "lesion", ["sternum"]),
]
DENIED = [
    ("en", "No lesion in spleen, liver or pancreas.", "lesion", ["spleen", "liver", "pancreas"]),
    ("en", "No lesion, cyst or mass in the liver.", "mass", ["liver"]),
    ("de", "Nebennieren bds. ohne Raumforderung.", "mass",
     ["adrenal_gland_left", "adrenal_gland_right"]),
    ("en", "A fracture of the sternum is not seen.", "fracture", ["sternum"]),
    ("de", "Kein Hinweis auf Metastasen in der Leber.", "metastasis", ["liver"]),
    ("de", "Keine Milzläsion.", "lesion", ["spleen"]),
    ("de", "Keine pulmonalen Rundherde.", "nodule", ["lung_left", "lung_right"]),
]  # fmt: skip


@pytest.mark.parametrize(("lang", "text", "name", "organs"), STATED)
def test_a_finding_that_is_stated_is_there_and_its_organ_is_not_normal(lang, text, name, organs):
    found, normal = read(text, lang)
    assert found == {(name, organ): True for organ in organs}
    assert normal == dict.fromkeys(organs, False)


@pytest.mark.parametrize(("lang", "text", "name", "organs"), DENIED)
def test_a_finding_that_is_denied_is_not_there_and_says_no_more(lang, text, name, organs):
    found, normal = read(text, lang)
    assert {organ for n, organ in found if n == name} == set(organs)
    assert not any(found.values()) and normal == {}


@pytest.mark.parametrize(
    ("lang", "text", "organs"),
    [
        ("en", "The liver is normal.", ["liver"]),
        ("de", "Leber und Milz o. B.", ["liver", "spleen"]),
        ("de", "Nieren bds. unauffällig, keine Zysten.", ["kidney_left", "kidney_right"]),
        ("en", "Lungs clear.", ["lung_left", "lung_right"]),
    ],
)
def test_organs_that_are_called_normal(lang, text, organs):
    assert read(text, lang) == ({}, dict.fromkeys(organs, True))


def test_each_organ_has_its_own_facts():
    found, normal = read("Zyste in der linken Niere, rechte Niere unauffällig.", "de")
    assert found == {("cyst", "kidney_left"): True}
    assert normal == {"kidney_left": False, "kidney_right": True}
    found, _ = read("No cyst in the liver, but a stone in the gallbladder.", "en")
    assert found == {("cyst", "liver"): False, ("stone", "gallbladder"): True}


@pytest.mark.parametrize(
    ("lang", "text"),
    [
        ("en", "Possible fracture of the left femur."),
        ("en", "Is there a lesion in the liver?"),
        ("de", "Fraktur des Sternums nicht auszuschließen."),
        ("en", "Liver is unremarkable except for a cyst."),
        ("en", "Cyst adjacent to the liver."),
        ("en", "Liver normal, 2 cm lesion in segment 4."),
        ("en", "Liver normal, lymph node metastasis."),
        ("en", "Normal size of the liver."),
        ("en", "No liver lesion larger than 5 mm."),
        ("de", "Keine größere Läsion in der Leber."),
        ("en", "No new cyst in the liver."),
        ("en", "The cyst in the liver does not enhance."),
        ("en", "No nodule with calcification in the left upper lobe."),
        ("de", "Kein Rundherd, kein Erguss, Zyste in der Leber."),
        ("en", "A nodule in the lungs."),
        ("de", "Rundherd im Oberlappen."),
        ("en", "Cyst in the left kidney and the right kidney is normal."),
        ("de", "Pankreaskopf unauffällig."),
        ("en", "No cyst in the upper pole of the left kidney."),
        ("en", "No thrombus in the left ventricle."),
        ("de", "Keine Fraktur der HWS."),
        ("de", "Kein Pankreaskopfkarzinom."),
        ("de", "Kein suspekter Rundherd in beiden Lungen."),
        ("en", "Left para-aortic mass inferior to the left adrenal."),
        ("en", "Haemangioma in the normal liver."),
        ("en", "Right middle lobe collapse with normal right upper lobe."),
        ("en", "Severe central canal stenosis at L4-5."),
        ("en", "The gallbladder is not visualized."),
        ("de", "Die Milz ist nicht dargestellt."),
        ("en", ""),
    ],
)
def test_what_may_be_wrong_is_unknown(lang, text):
    assert read(text, lang) == ({}, {})


def test_exchanging_the_sides_exchanges_the_facts():
    text = (
        "Zyste in der linken Niere, rechte Niere unauffällig. Kein Rundherd im rechten Unterlappen."
    )
    swap = {"linken": "rechten", "rechte": "linke", "rechten": "linken"}
    other = " ".join(swap.get(word, word) for word in text.split())

    def swapped(name):
        return name.replace("left", "*").replace("right", "left").replace("*", "right")

    found, normal = read(text, "de")
    assert read(other, "de") == (
        {(name, swapped(organ)): v for (name, organ), v in found.items()},
        {swapped(organ): v for organ, v in normal.items()},
    )


def test_removed_organs_have_no_facts_and_what_is_compared_is_still_mentioned():
    facts = findings.read("Z. n. Splenektomie. Resolved lesion of the liver.", "de")
    assert facts.removed == {1} and not facts.found and not facts.normal
    assert findings.read("Zyste in der Niere.", "de").mentioned == {2, 3}
    facts = findings.read("The lesion in the left kidney has resolved.", "en")
    assert not facts.found and facts.mentioned == {3}


def test_contradictions_are_unknown_within_and_between_languages():
    assert read("Cyst in the liver. No cyst in the liver.", "en")[0] == {}
    en = findings.read("Cyst in the left kidney. The liver is normal.", "en")
    de = findings.read("Zyste in der rechten Niere. Die Leber ist unauffällig.", "de")
    facts = findings.agreed([en, de])
    assert facts.found == {} and facts.normal == {5: True}
    assert facts.mentioned == {2, 3, 5}
    assert findings.agreed([en]) == en and findings.agreed([]) == findings.Facts()


def test_the_example_of_the_module_is_right():
    assert doctest.testmod(findings).attempted and not doctest.testmod(findings).failed
