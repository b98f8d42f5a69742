import collections
import re

import nibabel as nib
import numpy as np
import pytest

from big_rad.annotate import match, question_table, template_table, templates
from big_rad.annotate.canonical import Stored
from big_rad.annotate.segment import harmonised
from big_rad.annotate.slices import Stack
from big_rad.grounding import classes

ID = {c.name: c.id for c in classes.CLASSES}
FORMS = range(len(template_table.SENTENCES))
PLANES = ("axial", "coronal", "sagittal")


def every_structure():
    """All structures that a sentence may name: each class, several of it, and both of a pair."""
    found = []
    for c in classes.CLASSES:
        some = (templates.structure(c.id), templates.structure(c.id, True), templates.both(c.id))
        found += [s for s in some if s is not None and s not in found]
    return found


STRUCTURES = every_structure()


def stack_of(tmp_path, labels, modality="CT", spacing=(2.0, 2.0, 2.0)):
    """A volume with a label map; axis i is to the left, j to the back and k to the head."""
    path = tmp_path / "volume.nii"
    affine = np.diag([*spacing, 1.0])
    nib.save(nib.Nifti1Image(labels.astype(np.int16), np.diag([-1, -1, 1, 1]) @ affine), path)
    return Stack(Stored(path, affine, labels.shape, {"modality": modality}), labels)


def blocks(seed, shape=(40, 40, 48), size=8):
    """A label map of blocks, each of a random class or empty."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, classes.NUM_CLASSES + 1, [n // size for n in shape])
    return np.kron(ids, np.ones((size,) * 3, int)).astype(np.uint8)


def wanted(stack, count=9, options=None, name="volume", line=7):
    return templates.wanted(stack, name, line, count, options or match.Options(PLANES))


def pairs(some):
    """The English and the German sentence of each slice."""
    return list(zip(some[::2], some[1::2], strict=True))


def said(one, lang, form=0, plane="axial", modality="CT"):
    return templates.written(one, lang, form, plane, modality)


def names(*some):
    """Names of classes, "both kidney_left" for both of a pair, "many NAME" for several."""
    found = []
    for text in some:
        kind, _, name = text.rpartition(" ")
        one = templates.both(ID[name]) if kind == "both" else None
        found.append((one or templates.structure(ID[name], kind == "many")).names[0])
    return found


@pytest.mark.parametrize("lang", templates.LANGS)
def test_every_class_is_read_back_from_every_wording(lang):
    wrong = []
    for one in STRUCTURES:
        for form in FORMS:
            name = one.names[form % len(one.names)]
            text = said([name], lang, form, PLANES[form % 3], ("CT", "MR")[form % 2])
            if templates.read_back(text, lang) != set(one.ids):
                wrong.append(text)
    assert not wrong


@pytest.mark.parametrize("lang", templates.LANGS)
def test_every_name_is_read_back(lang):
    text = {name: (said([name], lang, 1), s.ids) for s in STRUCTURES for name in s.names}
    assert not [t for t, ids in text.values() if templates.read_back(t, lang) != set(ids)]


def test_all_classes_can_be_named_but_those_of_the_table():
    without = {c.name for c in classes.CLASSES if templates.structure(c.id) is None}
    assert without == set(template_table.NOT_NAMED) == {"kidney_cyst_left", "kidney_cyst_right"}


@pytest.mark.parametrize("seed", range(4))
def test_what_is_read_back_is_the_same_in_both_languages_and_is_in_the_slice(tmp_path, seed):
    stack = stack_of(tmp_path, blocks(seed), ("CT", "MR")[seed % 2])
    some = wanted(stack, 12)
    assert len(some) == 24
    for en, de in pairs(some):
        assert (en.lang, de.lang, en.slices) == ("en", "de", de.slices)
        ((plane, index),) = en.slices
        shown = set(np.unique(stack.cut(plane, index).segmap)) - {0}
        shown |= {whole for whole, parts in harmonised.ROLLUP.items() if shown & set(parts)}
        named = templates.read_back(en.sentence.text, "en")
        assert named and named == templates.read_back(de.sentence.text, "de")
        assert named <= shown


def test_every_sentence_is_kept_and_both_languages_share_an_item(tmp_path):
    stack = stack_of(tmp_path, blocks(5))
    some = wanted(stack)
    items, drops = match.items(stack, some, match.Options(PLANES))
    assert not drops and len(items) == len(some) // 2 == 9
    for item in items:
        assert set(item.texts) == {"en", "de"}
        ids = {lang: {k[2] for k in rows} for lang, rows in item.keywords.items()}
        assert ids["en"] == ids["de"] <= {box[4] for box in item.boxes}
        assert all(one.link == "template" for one in item.texts.values())


def test_the_draws_depend_on_the_volume_and_the_options_only(tmp_path):
    stack = stack_of(tmp_path, blocks(1))
    assert wanted(stack) == wanted(stack)
    texts = [w.sentence.text for w in wanted(stack)]
    assert texts != [w.sentence.text for w in wanted(stack, name="another")]
    axial = match.Options(("axial",))
    assert {w.slices[0][0] for w in wanted(stack, options=axial)} == {"axial"}


def test_slices_are_shared_out_among_planes_and_spread_over_the_stack(tmp_path):
    stack = stack_of(tmp_path, np.full((40, 40, 48), ID["liver"], np.uint8))
    some = [w.slices[0] for w in wanted(stack, 8)[::2]]
    assert collections.Counter(p for p, _ in some) == {"axial": 3, "coronal": 3, "sagittal": 2}
    for plane, thirds in (("axial", 16), ("coronal", 14)):
        assert [k // thirds for p, k in some if p == plane] == [0, 1, 2]


def test_there_are_no_more_sentences_than_slices_with_something_to_name(tmp_path):
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[5:15, 5:15, 3:5] = ID["spleen"]
    labels[5:15, 5:15, 8] = ID["kidney_cyst_left"]
    some = wanted(stack_of(tmp_path, labels), 9, match.Options(("axial",)))
    assert [w.slices for w in some[::2]] == [(("axial", 3),), (("axial", 4),)]
    assert wanted(stack_of(tmp_path, np.zeros((4, 4, 4), np.uint8))) == []


def test_a_component_below_the_least_area_is_not_named(tmp_path):
    labels = np.zeros((20, 20, 6), np.uint8)
    labels[2:10, 2:10] = ID["liver"]
    for i, j in ((12, 2), (12, 8), (15, 15), (18, 3)):  # Four specks of 4 mm2 make 16 mm2.
        labels[i, j] = ID["spleen"]
    some = wanted(stack_of(tmp_path, labels), 6, match.Options(("axial",), min_area_mm2=10.0))
    assert {c for w in some for m in w.sentence.mentions for c in m.class_ids} == {ID["liver"]}
    every = wanted(stack_of(tmp_path, labels), 6, match.Options(("axial",), min_area_mm2=0.0))
    named = {c for w in every for m in w.sentence.mentions for c in m.class_ids}
    assert named == {ID["liver"], ID["spleen"]}


@pytest.mark.parametrize("rollup", [True, False])
def test_a_whole_is_named_by_its_parts_if_parts_show_it_and_never_beside_them(tmp_path, rollup):
    labels = np.zeros((40, 40, 60), np.uint8)
    labels[:, :20] = ID["lung_upper_lobe_left"]
    labels[:, 20:] = ID["lung_lower_lobe_left"]
    options = match.Options(("axial",), rollup=rollup)
    some = wanted(stack_of(tmp_path, labels), 40, options)
    named = [{c for m in w.sentence.mentions for c in m.class_ids} for w in some]
    assert ({ID["lung_left"]} in named) == rollup
    assert all(len(one) == 1 for one in named if ID["lung_left"] in one)


def test_structures_that_were_named_least_often_come_first(tmp_path):
    ids = [ID[n] for n in ("liver", "spleen", "stomach", "pancreas", "colon", "aorta", "heart")]
    labels = np.repeat(np.array(ids, np.uint8), 5)[:, None, None] * np.ones((1, 30, 30), np.uint8)
    some = wanted(stack_of(tmp_path, labels), 12, match.Options(("axial",)))[::2]
    counts = collections.Counter(c for w in some for m in w.sentence.mentions for c in m.class_ids)
    assert set(counts) == set(ids) and max(counts.values()) - min(counts.values()) <= 1


def test_the_indication_asks_for_the_same_structures(tmp_path):
    for one in wanted(stack_of(tmp_path, blocks(2))):
        meant = templates.read_back(one.sentence.text, one.lang)
        assert templates.read_back(one.indication, one.lang) == meant


def test_neighbours_in_a_list_that_would_be_misread_are_not_written(tmp_path):
    # Here "vein and a" is read as the abbreviation of an artery.
    text = said(names("iliac_vena_left", "costal_cartilages"), "en", 1)
    assert templates.read_back(text, "en") != {ID["iliac_vena_left"], ID["costal_cartilages"]}
    labels = np.full((20, 20, 20), ID["iliac_vena_left"], np.uint8)
    labels[10:14, 5:15] = ID["costal_cartilages"]
    some = wanted(stack_of(tmp_path, labels), 20, match.Options(("axial",)))
    read = [templates.read_back(w.sentence.text, w.lang) for w in some]
    assert {frozenset(ids) for ids in read} == {
        frozenset({ID["iliac_vena_left"]}), frozenset({ID["costal_cartilages"]}),
    }  # fmt: skip


def test_provenance_of_a_sentence_is_its_line_and_its_number(tmp_path):
    some = wanted(stack_of(tmp_path, blocks(3)), 3, line=12)
    assert {w.row for w in some} == {12}
    assert [w.sentence.number for w in some] == [1, 1, 2, 2, 3, 3]
    assert {w.sentence.section for w in some} == {"template"}


def test_english_has_the_right_articles_numbers_and_lists():
    assert said(names("liver"), "en", 1) == "The liver is visible in this slice."
    assert said(names("liver", "spleen"), "en", 1) == (
        "The liver and the spleen are visible in this slice."
    )
    assert said(names("both kidney_left", "vertebrae_T12", "rib_left_5"), "en", 4, "coronal") == (
        "The coronal CT image shows both kidneys, the T12 vertebra and the left fifth rib."
    )
    assert said(names("both lung_left"), "en", 1) == "Both lungs are visible in this slice."
    assert said(names("intervertebral_discs"), "en", 6) == (
        "In this slice, an intervertebral disc is depicted."
    )
    assert said(names("many intervertebral_discs"), "en", 1) == (
        "Intervertebral discs are visible in this slice."
    )
    assert said(names("liver", "kidney_left"), "en", 9) == (
        "Structures in this slice: liver and left kidney."
    )
    assert said(names("aorta"), "en", 8, "sagittal", "MR") == "Sagittal MR slice through the aorta."


def test_german_has_the_right_cases_genders_and_lists():
    assert said(names("stomach"), "de", 0) == "Diese axiale Schicht zeigt den Magen."
    assert said(names("lung_lower_lobe_left", "spleen"), "de", 0, "coronal") == (
        "Diese koronare Schicht zeigt den linken Unterlappen und die Milz."
    )
    assert said(names("lung_lower_lobe_left"), "de", 1) == (
        "Der linke Unterlappen ist in dieser Schicht zu sehen."
    )
    assert said(
        names("both kidney_left", "vertebrae_L4", "rib_right_7"), "de", 13, modality="MR"
    ) == ("Beide Nieren, der LWK 4 und die 7. Rippe rechts sind in dieser MRT-Schicht erkennbar.")
    assert said(names("many pulmonary_vein"), "de", 3) == "Hier sind Pulmonalvenen dargestellt."
    assert said(names("costal_cartilages"), "de", 0) == (
        "Diese axiale Schicht zeigt einen Rippenknorpel."
    )
    assert said(names("inferior_vena_cava", "hip_right"), "de", 9) == (
        "Strukturen in dieser Schicht: untere Hohlvene und rechtes Hüftbein."
    )
    assert said(names("hip_right"), "de", 8, "sagittal") == (
        "Sagittale CT-Schicht durch das rechte Hüftbein."
    )


def test_no_wording_claims_a_finding_or_that_something_is_normal():
    words = {w for row in template_table.SENTENCES for t in row for w in re.findall(r"\w+", t)}
    findings = "|".join(p for _, en, de in question_table.FINDINGS for p in (en[1], de[2]))
    claims = set(question_table.NORMAL.split()) | {"no", "not", "kein", "keine", "ohne", "without"}
    assert not {w.lower() for w in words} & claims
    assert not [w for w in words if re.fullmatch(findings, w.lower())]


def test_there_are_many_wordings_and_each_has_a_translation():
    assert len(template_table.SENTENCES) >= 12
    for lang, row in zip(templates.LANGS, zip(*template_table.SENTENCES)):
        assert len(set(row)) == len(template_table.SENTENCES), lang
    for en, de in template_table.SENTENCES:
        for slot in ("{plane}", "{modality}"):
            assert (slot in en.lower()) == (slot in de.lower())
