import collections

import numpy as np
import pytest

from big_rad.grounding import markup
from big_rad.grounding.codec import get_codec
from big_rad.pp import builder, packed

REPORT = {
    "task": "report", "lang": "en", "sentence": "The liver is normal.", "clinical": "Known HCC.",
    "question": "New lesion?", "keywords": [["liver", 5]], "template": "r",
}  # fmt: skip
VQA = {
    "task": "vqa", "lang": "en", "question": "Is the liver visible?", "answer": "Yes",
    "question_type": "yesno", "choices": [], "source": "finding", "template": "q",
}  # fmt: skip
MULTIPLE = VQA | {
    "question": "Which plane?", "answer": "axial", "question_type": "multiple",
    "choices": ["axial", "coronal"],
}  # fmt: skip
DETECT = {
    "task": "detect", "lang": "en", "question": "Where is the liver?", "answer": "The liver.",
    "keywords": [["liver", 5]], "template": "d",
}  # fmt: skip
GERMAN = [
    REPORT | {"lang": "de", "sentence": "Die Leber ist normal.", "keywords": [["Leber", 5]]},
    VQA | {"lang": "de", "question": "Leber?", "answer": "Ja"},
]
CHINESE = VQA | {"lang": "zh", "question": "肝脏可见吗?", "answer": "是"}
ALL = [REPORT, VQA, MULTIPLE, DETECT, *GERMAN]
SEGMAP = np.full((8, 8), 5, np.uint8)


def run(pp, texts, seed=0, **fields):
    example = {"id": "a", "texts": texts, "rng": np.random.default_rng(seed)} | fields
    return builder.get_preprocess_fn(pp)(example)


def shares(pp, texts, key, seeds=600, **fields):
    """Returns how often each value of `key(text)` is drawn."""
    drawn = [key(t) for s in range(seeds) for t in run(pp, texts, seed=s, **fields)["texts"]]
    return {k: n / len(drawn) for k, n in collections.Counter(drawn).items()}


# Choosing texts


def test_all_takes_every_text_in_order():
    out = run("prompt(n='all')", ALL)["texts"]
    assert [t["template"] for t in out] == [t["template"] for t in ALL]
    assert [t["lang"] for t in run("prompt(n='all', lang='de')", ALL)["texts"]] == ["de", "de"]
    assert {t["task"] for t in run("prompt('vqa', n='all')", ALL)["texts"]} == {"vqa"}


def test_texts_are_drawn_without_repeats():
    for seed in range(20):
        out = run("prompt(n=4)", ALL, seed=seed)["texts"]
        assert len({(t["lang"], t["prefix"], t["suffix"]) for t in out}) == 4
    assert len(run("prompt(n=50)", ALL)["texts"]) == len(ALL)


def test_balance_draws_task_then_language_uniformly():
    many = [REPORT, *[VQA | {"question": str(i)} for i in range(30)], *GERMAN]
    count = collections.Counter()
    plain = collections.Counter()
    for seed in range(1000):
        text = run("prompt('report,vqa')", many, seed=seed)["texts"][0]
        count[text["task"], text["lang"]] += 1
        plain[run("prompt(balance=False)", many, seed=seed)["texts"][0]["task"]] += 1
    assert all(190 < count[k] < 310 for k in count) and len(count) == 4
    assert plain["vqa"] > 800


def test_styles_are_drawn_uniformly():
    count = collections.Counter(
        run("prompt()", [REPORT], seed=seed)["texts"][0]["context"] for seed in range(400)
    )
    assert len(count) == 4 and all(70 < n < 130 for n in count.values())


@pytest.mark.parametrize(
    "grounded, segmap, expected",
    [
        ("True", SEGMAP, (True, True)),
        ("True", None, (False, False)),
        ("False", SEGMAP, (False, False)),
        ("'always'", SEGMAP, (True, True)),
        ("'always'", None, (True, False)),
    ],
)
def test_when_a_text_is_grounded(grounded, segmap, expected):
    out = run(f"prompt(n='all', grounded={grounded})", [REPORT, DETECT, VQA], segmap=segmap)
    report, detect, vqa = out["texts"]
    assert (report["grounded"], detect["grounded"], vqa["grounded"]) == (*expected, False)
    assert ("detect keywords" in report["prefix"]) == expected[0]


def test_a_report_with_nothing_to_ground_is_grounded_only_on_demand():
    text = REPORT | {"keywords": []}
    assert not run("prompt()", [text], segmap=SEGMAP)["texts"][0]["grounded"]
    assert run("prompt(grounded='always')", [text], segmap=SEGMAP)["texts"][0]["grounded"]


def test_random_grounding_is_half():
    count = sum(
        run("prompt(grounded='random')", [REPORT], seed=s, segmap=SEGMAP)["texts"][0]["grounded"]
        for s in range(400)
    )
    assert 160 < count < 240


def test_preprocessing_is_a_function_of_the_generator():
    pp = "prompt(n=3)|ground('boxes')|tok(length=200, pack=True)"
    a, b = (run(pp, ALL, seed=4, segmap=SEGMAP)["text"] for _ in range(2))
    np.testing.assert_array_equal(a, b)
    assert any(not np.array_equal(a, run(pp, ALL, seed=s, segmap=SEGMAP)["text"]) for s in range(5))


def test_the_given_texts_are_not_changed():
    before = [dict(t) for t in ALL]
    run("clean|prompt(n='all')|ground('boxes')|tok(length=400, pack=True)", ALL, segmap=SEGMAP)
    assert before == ALL


# The cleaner


def test_clean_acts_on_reports_and_not_on_questions():
    report = REPORT | {"sentence": "Liver 1.2 cm", "clinical": "HCC ?", "keywords": [["1.2 cm", 5]]}
    question = VQA | {"question": "1.2 cm ?", "answer": "yes"}
    out = run("clean('released')|prompt(n='all', style='clinical')", [report, question])["texts"]
    assert out[0]["suffix"] == "Liver 1. 2 cm."
    assert out[0]["context"] == "Clinical information: HCC?"
    assert out[0]["keywords"] == [["1. 2 cm", 5]]
    assert (out[1]["context"], out[1]["suffix"]) == ("1.2 cm ?", "yes")


def test_keywords_are_still_found_after_cleaning():
    text = REPORT | {"sentence": "The liver ,spleen", "keywords": [["liver", 5], ["spleen", 5]]}
    out = run("clean|prompt()|ground('boxes')", [text], segmap=SEGMAP)["texts"][0]
    parsed = markup.parse(out["suffix"], get_codec("radgrounder"))
    assert parsed.text == "The liver, spleen." and len(parsed.entities) == 2


@pytest.mark.parametrize(
    "lang, fields, prefix, suffix",
    [
        (
            "de",
            {"clinical": "Z.n. OP ,HCC ?", "question": "Progress", "sentence": "1.2 x 3,4 cm"},
            "\nKlinische angaben: Z. n. OP, HCC?\nFragestellung: Progress.\n"
            "Beschreibe dieses Bild: \n",
            "1. 2 x 3, 4 cm.",
        ),
        (
            "en",
            {"clinical": "Pain  !", "question": "Stone:yes\xa0/ no", "sentence": "a.b...  c ;d"},
            "\nClinical information: Pain!\nQuestion: Stone: yes / no.\nCaption this image: \n",
            "a. b...  c; d.",
        ),
        (
            "en",
            {"clinical": "HCC", "question": "HCC.", "sentence": "Line one \n\n line two\u200b"},
            "\nClinical information: HCC.\nCaption this image: \n",
            "Line one\n line two.",
        ),
        (
            "de",
            {"clinical": "", "question": "\x84Herd\x93?", "sentence": "Kein\u202fHerd."},
            '\nKlinische angaben: \nFragestellung: "Herd"?\nBeschreibe dieses Bild: \n',
            "Kein Herd.",
        ),
    ],
)
def test_cleaned_rows_golden(lang, fields, prefix, suffix):
    # Written by hand, rule after rule, from the description of the released preprocessing.
    text = REPORT | {"lang": lang, "keywords": []} | fields
    out = run("clean('released')|prompt(style='both')", [text])["texts"][0]
    assert (out["prefix"], out["suffix"]) == (prefix, suffix)


# The published rule


def kind(text):
    return text["task"] + ("+boxes" if text["grounded"] else "")


BOTH = [REPORT, VQA, MULTIPLE, *GERMAN]


@pytest.mark.parametrize(
    "fields",
    [
        {"segmap": SEGMAP},
        {"segmap": packed.pack(SEGMAP)},
        {"boxes": [[0, 0, 4, 4, 5]]},
        {"boxes": [[0, 0, 4, 4, 5]], "segmap": 0 * SEGMAP},
    ],
)
def test_what_can_be_grounded_always_is_in_the_published_recipe(fields):
    got = shares("prompt(ground_share=1.0)", BOTH, lambda t: (kind(t), t["lang"]), **fields)
    assert got.keys() == {("report+boxes", "en"), ("report+boxes", "de")}
    assert abs(got["report+boxes", "en"] - 0.5) < 0.07


@pytest.mark.parametrize(
    "texts, fields",
    [
        (BOTH, {}),
        (BOTH, {"segmap": None, "boxes": []}),
        (BOTH, {"segmap": 0 * SEGMAP}),
        ([REPORT, VQA, GERMAN[0] | {"keywords": []}, GERMAN[1]], {"segmap": SEGMAP}),
        ([REPORT | {"keywords": []}, VQA, *GERMAN], {"segmap": SEGMAP}),
    ],
)
def test_what_cannot_be_grounded_in_each_language_trains_report_or_vqa(texts, fields):
    got = shares("prompt(ground_share=1.0)", texts, lambda t: (kind(t), t["lang"]), **fields)
    assert got.keys() == {(k, lang) for k in ("report", "vqa") for lang in ("en", "de")}
    assert all(abs(share - 0.25) < 0.06 for share in got.values())


def test_a_language_without_a_report_is_no_obstacle():
    texts = [REPORT, VQA, GERMAN[1]]
    got = shares("prompt(ground_share=1.0)", texts, kind, seeds=50, segmap=SEGMAP)
    assert got == {"report+boxes": 1}


def test_a_share_below_one_also_trains_plain_reports_and_questions():
    got = shares("prompt(ground_share=0.6)", BOTH, kind, seeds=1500, segmap=SEGMAP)
    want = {"report+boxes": 0.6, "report": 0.2, "vqa": 0.2}
    assert got.keys() == want.keys()
    assert all(abs(got[k] - want[k]) < 0.04 for k in want)
    assert shares("prompt(ground_share=0)", BOTH, kind, segmap=SEGMAP).keys() == {"report", "vqa"}


def test_several_texts_are_each_drawn_by_the_rule_without_repeats():
    texts = run("prompt(n=4, ground_share=1.0)", BOTH, segmap=SEGMAP)["texts"]
    assert [kind(t) for t in texts] == ["report+boxes", "report+boxes", "vqa", "vqa"]
    assert {t["lang"] for t in texts[:2]} == {"en", "de"}
    everything = run("prompt(n='all', ground_share=1.0)", ALL, segmap=SEGMAP)["texts"]
    want = ["report+boxes", "vqa", "vqa", "detect+boxes", "report+boxes", "vqa"]
    assert [kind(t) for t in everything] == want


def test_detection_keeps_its_boxes_beside_the_rule():
    got = shares("prompt('detect', ground_share=0.0)", ALL, kind, seeds=5, segmap=SEGMAP)
    assert got == {"detect+boxes": 1}


def test_styles_stay_uniform_under_the_rule():
    got = shares("prompt(ground_share=1.0)", [REPORT], lambda t: t["context"], segmap=SEGMAP)
    assert len(got) == 4 and all(abs(share - 0.25) < 0.06 for share in got.values())


def test_the_rule_looks_at_the_image_before_it_is_cropped():
    corner = np.zeros((64, 64), np.uint8)
    corner[0, 0] = 5
    pp = "augment(crop=(0.5, 0.6))|prompt(ground_share=1.0)"
    fields = dict(image=np.zeros((64, 64), np.int16), modality="CT")
    for given in ({"segmap": corner}, {"boxes": [[0, 0, 1, 1, 5]]}):
        outs = [run(pp + "|ground", BOTH, seed=s, **fields, **given) for s in range(20)]
        assert any(not t["markup"] for o in outs for t in o["texts"])
        assert all("detect keywords" in t["prefix"] or t["lang"] == "de"
                   for o in outs for t in o["texts"])  # fmt: skip
        assert {kind(t) for o in outs for t in o["texts"]} == {"report+boxes"}


# Languages


def test_chinese_is_asked_only_where_it_is_named():
    texts = [VQA, CHINESE, GERMAN[1]]

    def langs(lang):
        return set(shares(f"prompt('vqa', lang={lang!r})", texts, lambda t: t["lang"], seeds=60))

    assert langs("both") == {"en", "de"}
    assert langs("all") == {"en", "de", "zh"}
    assert langs("zh") == {"zh"}
    (text,) = run("prompt('vqa', lang='zh')", texts)["texts"]
    assert text["prefix"] == "\n肝脏可见吗?\nAnswer: \n" and text["suffix"] == "是"


# Misuse


@pytest.mark.parametrize(
    "pp, match",
    [
        ("prompt('caption')", "report"),
        ("prompt(lang='fr')", "both"),
        ("prompt(style='long')", "clinical"),
        ("prompt(n=0)", "positive"),
        ("prompt(grounded='maybe')", "always"),
        ("prompt(ground_share=1.5)", "0..1"),
        ("prompt(ground_share=0.5, grounded='always')", "left out"),
        ("clean('mine')", "released"),
    ],
)
def test_wrong_arguments_are_refused_when_built(pp, match):
    with pytest.raises(ValueError, match=match):
        builder.get_preprocess_fn(pp)


@pytest.mark.parametrize(
    "pp, match",
    [("prompt()|clean", "before prompt"), ("prompt(lang='de')", "leave this example out")],
)
def test_wrong_order_or_missing_texts_are_refused(pp, match):
    with pytest.raises(ValueError, match=match):
        run(pp, [REPORT, VQA], segmap=SEGMAP)
