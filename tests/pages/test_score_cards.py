"""Tests the intervals of groups, and the cards that show them."""

import pytest

from big_rad.evaluators import summary as summaries
from big_rad.metrics import bootstrap
from big_rad.pages import parts as page_parts
from big_rad.pages import score_cards
from big_rad.pages import sections as page_sections
from big_rad.pages import style as page_style
from tests.helpers import browser, html_page


def entity(name, iou=None):
    return {"class_name": name, "phrase": name} | ({} if iou is None else {"iou": iou})


def record(i, lang="en", score=0.5, reference=()):
    scores = {"g_iou": score, "hallucination_rate": None, "report_f1": 0.25}
    return {"id": f"s{i}", "lang": lang, "modality": "CT", "question_type": "", "scores": scores,
            "boxes": {"reference": list(reference), "prediction": []}}  # fmt: skip


RECORDS = [
    record(0, "en", 0.2, [entity("liver", 0.5), entity("spleen")]),
    record(1, "en", 0.4, [entity("liver", 0.75)]),
    record(1, "de", 0.6, [entity("liver"), entity("")]),
    record(2, "de", 0.8),
]


def found(records=RECORDS):
    return summaries.intervals(records, [r["id"] for r in records], resamples=200)


def test_each_language_and_each_class_has_its_own_interval():
    groups = found()
    assert set(groups) == {"", "lang=en", "lang=de", "class=liver", "class=spleen"}
    assert groups["lang=de"]["g_iou"]["mean"] == pytest.approx(0.7)
    assert "hallucination_rate" not in groups[""]  # No sample has this score.
    liver = groups["class=liver"]
    assert liver["entity_found"]["mean"] == pytest.approx(2 / 3)
    assert liver["entity_iou"]["mean"] == pytest.approx(1.25 / 3)  # 0 for the one without match.
    assert (liver["entity_iou"]["n"], liver["entity_iou"]["clusters"]) == (3, 2)
    assert groups["class=spleen"]["entity_iou"] == {
        "mean": 0, "low": 0, "high": 0, "n": 1, "clusters": 1
    }  # fmt: skip


def test_answers_have_no_classes():
    answers = [dict(r, scores={"f1": 1.0}) for r in RECORDS]
    assert not [g for g in found(answers) if g.startswith("class=")]


def whole(classes=1):
    records = RECORDS + [record(9, reference=[entity(f"organ_{k}", 0.5)]) for k in range(classes)]
    real, blank = found(records), found([record(i, score=0.1) for i in range(4)])
    entry = {"dataset": "phantom", "split": "test", "n": 5}
    evals = {
        "report": entry | {"intervals": real},
        "report_blank": entry | {"intervals": blank},
    }
    names = {"none": "report", "blank": "report_blank"}
    results = {"none": {"g_iou": 0.5}, "blank": {"g_iou": 0.1}}
    section = page_sections.Section("Reports <b>", "grounded", results, [], {}, names=names)
    return {"evals": evals, "by": "image", "resamples": 200}, [section]


def test_a_card_shows_the_score_between_its_bounds_beside_the_control():
    made, sections = whole()
    card = html_page.parse(score_cards.html(made, sections)).one("article", "tile")
    x = made["evals"]["report"]["intervals"][""]["g_iou"]
    between = f"{x['low']:.3f} to {x['high']:.3f}"
    assert card.one("p", "number").words == f"{x['mean']:.3f} G-IoU {between}"
    assert card.one("p", "ticks").words == "blank 0.100"
    bar = card.all("div", "bar")[0]
    assert bar.one("i", "blank").get("style") == "left:10.00%"
    width = f"left:{x['low']:.2%};width:{x['high'] - x['low']:.2%}"
    assert bar.one("i", "band").get("style") == width
    assert card.one("h3").words == "Reports <b>"
    assert card.one("p", "meta").words.endswith("intervals by image (4)")
    groups = [dt.words for dt in card.all("dt")]
    assert {"German 2", "English 3", "liver 3", "organ 0 1"} <= set(groups)
    # The most frequent class comes first.
    assert groups.index("liver 3") < groups.index("spleen 1")


def test_the_level_of_chance_is_shown_beside_the_score_that_it_belongs_to():
    records = [record(i) | {"scores": {"r10_text": i % 2, "r10_image": 1.0}} for i in range(4)]
    entry = {"type": "retrieval", "dataset": "phantom", "split": "test", "n": 4, "control": "none"}
    entry |= {"intervals": found(records), "metrics": {"chance_r10_text": 0.25}, "sha256": ""}
    made = {"evals": {"x": entry}, "by": "image", "resamples": 200, "seed": 0, "checkpoint": ""}
    section = page_sections.Section("S", "retrieval", {}, [], {}, names={"none": "x"})
    card = html_page.parse(score_cards.html(made, [section])).one("article", "tile")
    assert card.one("p", "ticks").words == "chance 0.250"
    assert card.one("i", "chance", style="left:25.00%")
    rows = [th.words for th in card.one("details").all("th", scope="row")]
    assert rows == ["R@10, the text of an image (chance 0.250)", "R@10, the image of a text"]
    assert "| x | r10_text (chance 0.250) | 0.500" in summaries.markdown(made)


@pytest.mark.parametrize(
    "unnamed, said",
    [(0, "intervals by patient (4)"), (4, "by image (4)"), (1, "by patient or image (4)")],
)
def test_a_card_says_whether_its_interval_is_over_patients_or_over_images(unnamed, said):
    made, sections = whole()
    made["evals"]["report"] |= {"unnamed": unnamed, "subjects": 4}
    page = html_page.parse(score_cards.html(made | {"by": "patient"}, sections))
    assert page.one("article").one("p", "meta").words.endswith(said)


def test_of_one_image_there_is_a_mean_and_no_interval():
    one = summaries.intervals([record(0, score=0.5)] * 3, ["s0"] * 3, resamples=50)[""]["g_iou"]
    assert bootstrap.interval_text(one) == "0.500 (of one alone)"
    assert bootstrap.interval_text(one | {"clusters": 2}) == "0.500 (0.500 to 0.500)"


def test_classes_beyond_the_most_frequent_are_folded_and_none_is_lost():
    page = html_page.parse(score_cards.html(*whole(classes=20)))
    folded = [s.words for s in page.all("summary")]
    assert "14 more" in folded
    assert len([dt for dt in page.all("dt") if dt.words.startswith("organ ")]) == 20


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_lays_the_cards_out_within_its_window(tmp_path, width):
    path = tmp_path / "page.html"
    parts = [score_cards.html(*whole(classes=12))]
    page_parts.save(path, "T", parts, page_style.TILES)
    seen, console = browser.look(
        path,
        width,
        """const bars = [...page.querySelectorAll(".tile .bar")].filter(b => b.offsetParent);
        const inside = (a, b) => a.left >= b.left - 2 && a.right <= b.right + 3;
        return {bars: bars.map(b => b.getBoundingClientRect().width), inside: bars.every(
          b => [...b.children].every(i => inside(i.getBoundingClientRect(),
                                                 b.getBoundingClientRect())))};""",
    )
    assert not console and seen["wide"] == [] and seen["inside"]
    assert len(seen["bars"]) > 8 and min(seen["bars"]) > 60
