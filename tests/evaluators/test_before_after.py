import json

import numpy as np

from big_rad.evaluators import before_after

EVALS = {
    "vqa_val": dict(type="vqa", split="validation"),
    "vqa": dict(type="vqa", split="test"),
    "report_val": dict(type="grounded", split="validation"),
    "report": dict(type="grounded", split="test"),
    "plain": dict(type="grounded", split="test"),
}
SCORES = {
    "vqa": ("accuracy_published", "accuracy", "f1"),
    "grounded": ("laterality_text", "report_f1", "g_iou", "report_cider"),
}


def rows(patients=8, without=()):
    """Returns rows of all evaluators, with one sample for each patient.

    The (evaluator, score) pairs in `without` have no value.
    """
    found = []
    for name, spec in EVALS.items():
        scores = {s: (name, s) not in without for s in SCORES[spec["type"]]}
        before, after = (records(scores, value, patients) for value in (0.25, 0.75))
        found += before_after.rows(name, before, after, list(range(patients)))
    return found


def records(scores, value, count):
    """Returns samples that all have the same value, or None for scores that map to False."""
    return [
        dict(
            index=i,
            id=f"{i}#0",
            prompt="",
            reference_text="",
            scores={s: value if has else None for s, has in scores.items()},
        )
        for i in range(count)
    ]


def names(table):
    return [line.name for line in table.lines]


def test_the_main_result_comes_first_under_the_names_of_the_page_and_validation_is_apart():
    plain = [json.loads(json.dumps(vars_of(r))) for r in rows(without={("plain", "g_iou")})]
    test, validation = before_after.tables(plain, EVALS)
    assert names(test) == [
        "Grounded reports: G-IoU",
        "Grounded reports: text F1",
        "Grounded reports: texts with the wrong side",
        "Grounded reports: CIDEr",
        "Visual question answering: F1",
        "Visual question answering: accuracy",
        "Plain: text F1",  # The main score of this evaluator, G-IoU, has no value.
        "Plain: texts with the wrong side",
        "Plain: CIDEr",
    ]
    assert names(validation)[0] == "Grounded reports, validation: G-IoU"
    assert len(validation.lines) == 6 and "Validation" in validation.title and not test.title
    assert test.lines[0].difference == "+0.500 (+0.500 to +0.500)"


def vars_of(row):
    columns = {k: vars(getattr(row, k)) for k in before_after.COLUMNS}
    return {"eval": row.eval, "score": row.score, **columns}


def test_markdown_names_the_step_and_has_no_row_without_a_value():
    text = before_after.text(rows(without={("vqa", "f1")}), EVALS, 1200)
    assert "| | before | after step 1,200 | difference | patients |" in text
    assert text.index("| Grounded reports: G-IoU |") < text.index("Validation patients")
    assert "answering: F1" not in text and "\u2013" not in text
    assert "| Visual question answering: accuracy | 0.250 (" in text


def test_only_validation_has_a_table_of_its_own_alone():
    only = [r for r in rows() if r.eval == "vqa_val"]
    (table,) = before_after.tables([vars_of(r) for r in only], EVALS)
    assert "Validation" in table.title and before_after.tables([], EVALS) == []


def test_below_six_clusters_a_difference_has_neither_an_interval_nor_p(tmp_path):
    for patients, has in ((5, False), (6, True)):
        before_after.write(tmp_path, rows(patients))
        found = json.loads((tmp_path / before_after.FILE).read_text())
        differences = [r["difference"] for r in found]
        assert len(found) == 18 and all(d["mean"] == 0.5 for d in differences)
        for field in ("low", "high", "p"):
            assert all((d[field] is not None) == has for d in differences)
        assert all(r["after"]["low"] == 0.75 for r in found)
        tables = before_after.tables(found, EVALS)
        shown = {line.difference for table in tables for line in table.lines}
        assert all(("no verdict" in text) != has for text in shown)
    assert np.allclose([d["p"] for d in differences], 2 / 2**6)
