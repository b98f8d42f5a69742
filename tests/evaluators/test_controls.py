"""Controls are added beside the evaluators that are asked for, and chosen by name."""

import ml_collections
import pytest

from big_rad.evaluators import controls


def evals(**control):
    found = ml_collections.ConfigDict()
    for name, kind in (("report", "grounded"), ("yes_no", "vqa")):
        found[name] = dict(type=kind, limit=3)
        if name in control:
            found[control[name]] = dict(type=kind, limit=3, control="blank")
    return found


@pytest.mark.parametrize(
    "only, added, left",
    [
        ("", False, "report yes_no"),
        ("yes_no", False, "yes_no"),
        ("yes_no", True, "yes_no yes_no_blank yes_no_shuffled"),
        ("yes_no_blank", True, "yes_no_blank"),
        (
            "report,yes_no_blank",
            True,
            "report yes_no_blank report_blank report_shuffled report_mirrored",
        ),
    ],
)
def test_what_is_asked_for_is_left_with_its_controls(only, added, left):
    found = evals()
    controls.choose(found, only, added)
    assert set(found) == set(left.split())
    assert {c for n in found if (c := found[n].get("control"))} <= {"blank", "shuffled", "mirrored"}
    assert all(found[n].limit == 3 for n in found)


def test_a_control_that_is_there_already_is_not_replaced_and_gets_none_of_its_own():
    found = evals(report="report_blank")
    found.report_blank.limit = 1
    assert controls.add(found, ["report"]) == ["report_blank", "report_shuffled", "report_mirrored"]
    assert found.report_blank.limit == 1 and found.report_mirrored.control == "mirrored"
    assert not [n for n in found if n.startswith(("report_blank_", "yes_no_"))]


def test_a_name_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match="no evaluator reprot; there are report, yes_no$"):
        controls.choose(evals(), "reprot")
