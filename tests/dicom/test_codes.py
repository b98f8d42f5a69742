import pytest

from big_rad.dicom import code_table, codes
from big_rad.grounding.classes import CLASSES

# From DICOM PS3.16 (context groups 4, 7140, 7150 and others), not from our table.
GOLDEN = {
    "liver": ("10200004", "Liver"),
    "spleen": ("78961009", "Spleen"),
    "kidney_left": ("64033007", "Kidney"),
    "aorta": ("15825003", "Aorta"),
    "heart": ("80891009", "Heart"),
    "brain": ("12738006", "Brain"),
    "lung_left": ("39607008", "Lung"),
    "lung_right": ("39607008", "Lung"),
    "femur_right": ("71341001", "Femur"),
    "vertebrae": ("51282000", "Vertebra"),
    "intervertebral_discs": ("360499006", "Intervertebral disc"),
    "kidney_cyst_right": ("367643001", "Cyst"),
}


def test_the_table_has_each_class_once_in_the_order_of_the_ids():
    assert [row[:2] for row in code_table.ROWS] == [(c.id, c.name) for c in CLASSES]


@pytest.mark.parametrize("name", GOLDEN)
def test_known_codes(name):
    [found] = [codes.of_class(c.id) for c in CLASSES if c.name == name]
    assert (found.type.value, found.type.meaning) == GOLDEN[name]


def test_the_side_of_a_class_is_that_of_its_name():
    for c in CLASSES:
        found = codes.of_class(c.id)
        side = {"left": codes.LEFT, "right": codes.RIGHT}
        expected = next((code for word, code in side.items() if word in c.name.split("_")), None)
        if c.name == "lung_middle_lobe_right":  # "Middle lobe of right lung" says the side.
            assert found.side is None and "right" in found.type.meaning
        else:
            assert found.side == expected, c.name
    assert (codes.LEFT.value, codes.RIGHT.value) == ("7771000", "24028007")


def test_two_classes_never_have_the_same_codes():
    seen = {(codes.of_class(c.id).type, codes.of_class(c.id).side) for c in CLASSES}
    assert len(seen) == len(CLASSES)


def test_only_cysts_are_no_anatomy():
    for c in CLASSES:
        found = codes.of_class(c.id)
        if c.name.startswith("kidney_cyst"):
            assert found.category.value == "49755003"
            assert found.region == found.site == codes.Code("64033007", "Kidney")
        else:
            assert found.category == codes.Code("91723000", "Anatomical Structure")
            assert found.region is None and found.site == found.type


def test_codes_are_numbers_of_snomed_with_a_right_check_digit():
    for row in code_table.ROWS:
        assert _verhoeff(row[2]), row[1]
    assert not _verhoeff("64033008")


def test_an_unknown_class_has_a_code_and_an_impossible_one_has_none():
    assert codes.of_class(0).type.meaning == "Body structure"
    for wrong in (-1, 122):
        with pytest.raises(KeyError):
            codes.of_class(wrong)


def _verhoeff(number):
    """Whether the last digit of a SNOMED identifier checks the others (SNOMED CT, 6.3)."""
    order = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
    rows = [list(range(10))]
    for _ in range(7):
        rows.append([order[n] for n in rows[-1]])

    def product(a, b):  # The dihedral group of ten elements.
        if a < 5:
            return (a + b) % 5 if b < 5 else 5 + (a + b) % 5
        return 5 + (a - b) % 5 if b < 5 else (a - b) % 5

    check = 0
    for place, digit in enumerate(reversed(number)):
        check = product(check, rows[place % 8][int(digit)])
    return check == 0
