import pytest

from big_rad.pp import prompts
from big_rad.pp import tokenizer as tokenizer_lib

CLINICAL, QUESTION = {"en": "Known HCC.", "de": "HCC bekannt."}, {"en": "New?", "de": "Neu?"}


@pytest.mark.parametrize(
    "lang, grounding, expected",
    [
        ("en", "none", "\n\nCaption this image: \n"),
        ("en", "boxes", "\n\nCaption this image and detect keywords: \n"),
        ("en", "masks", "\n\nCaption this image and segment keywords: \n"),
        ("de", "none", "\n\nBeschreibe dieses Bild: \n"),
        ("de", "boxes", "\n\nBeschreibe dieses Bild und detektiere Schlüsselwörter: \n"),
        ("de", "masks", "\n\nBeschreibe dieses Bild und segmentiere die Schlüsselwörter: \n"),
    ],
)
def test_report_prompts_are_the_released_ones(lang, grounding, expected):
    assert prompts.prefix("report", lang, "", grounding) == expected


@pytest.mark.parametrize(
    "lang, style, expected",
    [
        ("en", "none", "\n\nCaption this image: \n"),
        ("en", "clinical", "\nClinical information: Known HCC.\nCaption this image: \n"),
        ("en", "question", "\nQuestion: New?\nCaption this image: \n"),
        (
            "en",
            "both",
            "\nClinical information: Known HCC.\nQuestion: New?\nCaption this image: \n",
        ),
        ("de", "none", "\n\nBeschreibe dieses Bild: \n"),
        ("de", "clinical", "\nKlinische angaben: HCC bekannt.\nBeschreibe dieses Bild: \n"),
        ("de", "question", "\nFragestellung: Neu?\nBeschreibe dieses Bild: \n"),
        (
            "de",
            "both",
            "\nKlinische angaben: HCC bekannt.\nFragestellung: Neu?\nBeschreibe dieses Bild: \n",
        ),
    ],
)
def test_each_style_in_each_language(lang, style, expected):
    context = prompts.report_context(style, CLINICAL[lang], QUESTION[lang], lang)
    assert prompts.prefix("report", lang, context) == expected


@pytest.mark.parametrize(
    "style, clinical, question, expected",
    [
        ("both", "Pain.", "Pain.", "Clinical information: Pain."),
        ("both", "", "", "Clinical information:"),
        ("both", "Pain.", "", "Clinical information: Pain.\nQuestion:"),
        ("both", "", "Why?", "Clinical information: \nQuestion: Why?"),
        ("clinical", "", "Why?", ""),
        ("question", "Pain.", "", ""),
        ("both", " Pain. ", "Why?\n", "Clinical information: Pain.\nQuestion: Why?"),
    ],
)
def test_empty_and_equal_fields(style, clinical, question, expected):
    assert prompts.report_context(style, clinical, question, "en") == expected


@pytest.mark.parametrize(
    "text, expected",
    [
        (
            {"task": "vqa", "lang": "en", "question": "Which plane?", "question_type": "open"},
            "\nWhich plane?\nAnswer: \n",
        ),
        (
            {"task": "vqa", "lang": "de", "question": "Leber?", "question_type": "yesno"},
            "\nLeber?\nAntwort: \n",
        ),
        (
            {
                "task": "vqa",
                "lang": "en",
                "question": "Which plane?",
                "question_type": "multiple",
                "choices": ["A: axial", "B: coronal"],
            },
            "\nWhich plane?\nA: axial\nB: coronal\nAnswer: \n",
        ),
        (
            {
                "task": "vqa",
                "lang": "en",
                "question": "CT?",
                "question_type": "closed",
                "choices": ["a", "b"],
            },
            "\nCT?\nAnswer: \n",
        ),
        ({"task": "detect", "lang": "en", "question": "Where?"}, "\nWhere? \n"),
        ({"task": "detect", "lang": "de", "question": "Wo?"}, "\nWo? \n"),
    ],
)
def test_questions(text, expected):
    assert prompts.prefix(text["task"], text["lang"], prompts.context(text)) == expected


@pytest.mark.parametrize("task", prompts.TASKS)
@pytest.mark.parametrize("lang", prompts.LANGS)
def test_a_prefix_ends_in_a_space_and_a_newline_token(task, lang):
    tok = tokenizer_lib.load("tiny")
    ids = tok.encode(prompts.prefix(task, lang, "Leber?"))
    assert [tok.decode([i]) for i in ids[-2:]] == [" ", "\n"]
    assert ids[0] == 108


@pytest.mark.parametrize(
    "args", [("caption", "en", ""), ("report", "fr", ""), ("report", "en", "", "points")]
)
def test_unknown_tasks_languages_and_groundings_are_refused(args):
    with pytest.raises(ValueError, match="vqa"):
        prompts.prefix(*args)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("1.2 x 3,4 cm", "1. 2 x 3, 4 cm."),
        ("Liver , spleen .", "Liver, spleen."),
        ("No lesion", "No lesion."),
        ("Lesion?", "Lesion?"),
        ("Lesion:", "Lesion:."),
        ("a...b", "a... b."),
        ("first  \n second", "first\n second."),
        ("  x!  ", "x!"),
        ("a\xa0b\u2009c", "a b c."),
        ("soft\xadhyphen\u200b", "softhyphen."),
        ("\x84x\x93", '"x".'),
        ("5\x96 6", "5- 6."),
        ("", ""),
        (" \n", "."),
    ],
)
def test_cleaner_goldens(text, expected):
    # By hand from the rules in the docstring of `clean`.
    assert prompts.clean(text) == expected


def test_cleaning_twice_changes_nothing_more():
    for text in ("1.2 x 3,4 cm", "a ,b;c", "No lesion", "x :y"):
        assert prompts.clean(prompts.clean(text)) == prompts.clean(text)
