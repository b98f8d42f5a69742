"""Tests which curves of the run the page of an evaluation shows."""

from big_rad.pages import evaluation as evaluation_page
from big_rad.pages import sections as page_sections
from tests.helpers import html_page, made_run


def test_curves_are_of_the_same_questions_alone_and_a_broken_run_costs_nothing_else(tmp_path):
    workdir, said = made_run.whole(tmp_path / "run"), []

    def curves(evals):
        results = {"report": {"g_iou": 0.5}}
        sections = page_sections.sections_of(evals, results, {}, workdir / "samples")
        html = evaluation_page.curves(str(workdir), evals, sections, said.append)
        return [f.all("b")[0].words for f in html_page.parse(html).all("figcaption")]

    assert "Grounded reports: G-IoU" in curves(made_run.EVALS)
    other = {"report": dict(made_run.EVALS["report"], split="validation")}
    assert "Training loss" in curves(other) and not any("G-IoU" in t for t in curves(other))
    (workdir / "run.json").write_text('{"starts": [', encoding="utf-8")
    assert not said and curves(made_run.EVALS) == []
    assert "no curves on the page" in said[0] and "run.json" in said[0]
