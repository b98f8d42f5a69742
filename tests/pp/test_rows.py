"""Whole rows: the exact strings of every prompt, and where their tokens begin and end.

The strings are those that released checkpoints were trained on; they are written out here, not made
by `prompts`. The tokens come from SentencePiece itself, with the special tokens cut out by hand.
"""

import pathlib
import re

import hypothesis
import numpy as np
import pytest
import sentencepiece
from hypothesis import strategies as st

from big_rad import pp as pp_package
from big_rad.pp import builder

SP = sentencepiece.SentencePieceProcessor(
    model_file=str(pathlib.Path(pp_package.__file__).with_name("tiny_tokenizer.model"))
)
PAD, EOS, BOS = 0, 1, 2
_LOC0 = SP.piece_to_id("<loc0000>")
_BASE = SP.get_piece_size() if SP.is_unknown(_LOC0) else _LOC0
_MARKUP = ("<p bbox=", "</p>", "id=", "<seg>", "</seg>")
_SPECIAL = re.compile(r"(<loc[0-9]{4}>|<seg[0-9]{3}>|<p bbox=|</p>|id=|<seg>|</seg>)")

SEGMAP = np.zeros((64, 128), np.uint8)
SEGMAP[16:32, 32:64] = 5
LIVER = "<p bbox=<loc0128><loc0128><loc0256><loc0256> id=<seg005>>{}</p>"
REPORT = {
    "en": {
        "task": "report", "lang": "en", "sentence": "The liver is normal.",
        "clinical": "Known HCC.", "question": "New lesion?", "keywords": [["liver", 5]],
    },
    "de": {
        "task": "report", "lang": "de", "sentence": "Die Leber ist normal.",
        "clinical": "HCC bekannt.", "question": "Neue Läsion?", "keywords": [["Leber", 5]],
    },
}  # fmt: skip
TARGET = {
    ("en", "none"): "The liver is normal.",
    ("en", "boxes"): f"The {LIVER.format('liver')} is normal.",
    ("en", "masks"): "The <seg>liver</seg> is normal.",
    ("de", "none"): "Die Leber ist normal.",
    ("de", "boxes"): f"Die {LIVER.format('Leber')} ist normal.",
    ("de", "masks"): "Die <seg>Leber</seg> ist normal.",
}
CONTEXT = {
    ("en", "none"): "",
    ("en", "clinical"): "Clinical information: Known HCC.",
    ("en", "question"): "Question: New lesion?",
    ("en", "both"): "Clinical information: Known HCC.\nQuestion: New lesion?",
    ("de", "none"): "",
    ("de", "clinical"): "Klinische angaben: HCC bekannt.",
    ("de", "question"): "Fragestellung: Neue Läsion?",
    ("de", "both"): "Klinische angaben: HCC bekannt.\nFragestellung: Neue Läsion?",
}
LINE = {
    ("en", "none"): "Caption this image:",
    ("en", "boxes"): "Caption this image and detect keywords:",
    ("en", "masks"): "Caption this image and segment keywords:",
    ("de", "none"): "Beschreibe dieses Bild:",
    ("de", "boxes"): "Beschreibe dieses Bild und detektiere Schlüsselwörter:",
    ("de", "masks"): "Beschreibe dieses Bild und segmentiere die Schlüsselwörter:",
}
OPEN = {"task": "vqa", "question_type": "open"}
CHOICE = {"task": "vqa", "question_type": "multiple"}
DETECT = {"task": "detect"}
EQUAL = {"clinical": "HCC?", "question": "HCC?"}
# text, style, grounding, prefix, suffix
TABLE = [
    *(
        (REPORT[lang], style, mode, f"\n{context}\n{LINE[lang, mode]} \n", TARGET[lang, mode])
        for (lang, style), context in CONTEXT.items()
        for mode in ("none", "boxes", "masks")
    ),
    *(
        (REPORT[lang] | EQUAL, "both", mode, f"\n{start} HCC?\n{LINE[lang, mode]} \n",
         TARGET[lang, mode])
        for lang, start in (("en", "Clinical information:"), ("de", "Klinische angaben:"))
        for mode in ("none", "boxes", "masks")
    ),
    (OPEN | {"lang": "en", "question": "Which plane?", "answer": "axial"}, "random", "boxes",
     "\nWhich plane?\nAnswer: \n", "axial"),
    (OPEN | {"lang": "de", "question": "Welche Ebene?", "answer": "axial"}, "random", "boxes",
     "\nWelche Ebene?\nAntwort: \n", "axial"),
    (OPEN | {"lang": "zh", "question": "肝在哪?", "answer": "左"}, "random", "boxes",
     "\n肝在哪?\nAnswer: \n", "左"),
    (OPEN | {"lang": "en", "question": "CT ?", "answer": "1.2 cm", "question_type": "yesno",
             "choices": ["yes", "no"]}, "both", "boxes", "\nCT ?\nAnswer: \n", "1.2 cm"),
    (CHOICE | {"lang": "en", "question": "Which?", "answer": "B: MR",
               "choices": ["A: CT", "B: MR"]}, "none", "boxes",
     "\nWhich?\nA: CT\nB: MR\nAnswer: \n", "B: MR"),
    (CHOICE | {"lang": "de", "question": "Was?", "answer": "MR", "choices": ["CT", "MR"]}, "none",
     "boxes", "\nWas?\nCT\nMR\nAntwort: \n", "MR"),
    (DETECT | {"lang": "en", "question": "Detect: liver.", "answer": "liver",
               "keywords": [["liver", 5]]}, "random", "boxes",
     "\nDetect: liver. \n", LIVER.format("liver")),
    (DETECT | {"lang": "de", "question": "Sichtbar: Leber?", "answer": "Ja, Leber.",
               "keywords": [["Leber", 5]]}, "both", "boxes",
     "\nSichtbar: Leber? \n", f"Ja, {LIVER.format('Leber')}."),
    (DETECT | {"lang": "de", "question": "Sichtbar: Leber?", "answer": "Ja, Leber.",
               "keywords": [["Leber", 5]]}, "both", "masks",
     "\nSichtbar: Leber? \n", "Ja, <seg>Leber</seg>."),
    (DETECT | {"lang": "en", "question": "Visible: brain?", "answer": "No.", "keywords": []},
     "both", "boxes", "\nVisible: brain? \n", "No."),
]  # fmt: skip


def pieces(text, markup=False):
    """The token ids of a text; with `markup`, special tokens are encoded separately."""
    if not markup:
        return SP.encode(text)
    ids = []
    for part in _SPECIAL.split(text):
        if part.startswith("<loc"):
            ids.append(_BASE + int(part[4:8]))
        elif re.fullmatch(r"<seg[0-9]{3}>", part):
            ids.append(_BASE + 1024 + int(part[4:7]))
        elif part in _MARKUP:
            ids.append(_BASE + 1024 + 128 + 1 + _MARKUP.index(part))
        elif part:
            ids += SP.encode(part)
    return ids


def row(text, style="both", mode="boxes", answer=True, **fields):
    pp = (
        f"prompt(lang='all', style={style!r}, grounded={mode != 'none'})|ground({mode!r})"
        f"|tok(length=160, answer={answer})"
    )
    example = {"texts": [text], "segmap": SEGMAP, "rng": np.random.default_rng(0)} | fields
    return builder.get_preprocess_fn(pp)(example)


@pytest.mark.parametrize("text, style, mode, prefix, suffix", TABLE)
def test_a_row_is_bos_prefix_suffix_eos_with_these_strings(text, style, mode, prefix, suffix):
    out = row(text, style, mode)
    assert (out["texts"][0]["prefix"], out["texts"][0]["suffix"]) == (prefix, suffix)
    seen = [BOS, *pieces(prefix)]
    learned = [*pieces(suffix, markup=text["task"] != "vqa"), EOS]
    rest = [PAD] * (161 - len(seen) - len(learned))
    assert out["text"].tolist() == seen + learned + rest
    for mask in ("mask_ar", "mask_loss"):
        assert out[mask].tolist() == [0] * len(seen) + [1] * len(learned) + rest
    # The separators are newlines first, and a space and a newline last, each as a separate token.
    first = "\n\n" if prefix.startswith("\n\n") else "\n"
    assert out["text"][1] == SP.piece_to_id(first)
    last = [SP.id_to_piece(int(i)) for i in out["text"][len(seen) - 2 : len(seen)]]
    assert last == ["▁", "\n"]


def test_the_table_has_every_task_language_style_and_grounding():
    reports = {(t["lang"], style, mode) for t, style, mode, *_ in TABLE if t["task"] == "report"}
    assert len(reports) == 2 * 4 * 3
    assert {(t["task"], t["lang"]) for t, *_ in TABLE} == {
        ("report", "en"), ("report", "de"), ("vqa", "en"), ("vqa", "de"), ("vqa", "zh"),
        ("detect", "en"), ("detect", "de"),
    }  # fmt: skip


def test_a_grounded_row_golden():
    # The ids of tiny_tokenizer.model (loc from 2000, seg from 3024, markup from 3153), as computed
    # by SentencePiece 0.2.2; `>` is a byte of this small model.
    ids = row(REPORT["en"], "none")["text"]
    prefix = [BOS, 109, 544, 478, 530, 472, 845, 608, 1950, 1929, 108]  # \n\n Caption ... : \n
    box = [3153, 2128, 2128, 2256, 2256, 1929, 3155, 3029, 201]
    suffix = [492, 1929, *box, 1673, 3154, 425, 775, 1943, EOS]  # The, liver, is normal.
    assert ids[ids > 0].tolist() == prefix + suffix


# Evaluation

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=30)
ANSWERS = st.one_of(
    WORDS,
    st.sampled_from(["yes", "no", "liver", "Which plane?", "Answer:", "\n", LIVER.format("liver")]),
    st.integers(1, 300).map(lambda n: "secret " * n),
)
IN_THE_BATCH = ("text", "mask_ar", "mask_loss", "segment", "mask_input", "mask_class", "mask_pos")


@pytest.mark.parametrize("text, style, mode, prefix, suffix", TABLE[::5] + TABLE[-9:])
@hypothesis.settings(max_examples=20)
@hypothesis.given(answer=ANSWERS, other=ANSWERS)
def test_the_answer_is_in_no_field_of_an_evaluation_row(
    text, style, mode, prefix, suffix, answer, other
):
    field = "sentence" if text["task"] == "report" else "answer"
    style = "both" if style == "random" else style
    pp = (
        f"prompt(lang='all', style={style!r}, grounded={'always' if mode != 'none' else False!r})"
        f"|ground({mode!r})|tok(length=100, answer=False, masks=2)"
    )
    outs = [
        builder.get_preprocess_fn(pp)(
            {"texts": [text | {field: a}], "segmap": SEGMAP, "rng": np.random.default_rng(0)}
        )
        for a in (answer, other)
    ]
    for out in outs:
        used = [BOS, *pieces(prefix)]
        assert out["text"].tolist() == used + [PAD] * (101 - len(used))
        assert not out["mask_ar"].any() and not out["mask_loss"].any()
        assert not out["mask_class"].any() and (out["mask_pos"] == -1).all()
    for k in IN_THE_BATCH:
        np.testing.assert_array_equal(outs[0][k], outs[1][k])
    assert outs[0]["text_bound"] == outs[1]["text_bound"]


@hypothesis.settings(max_examples=30)
@hypothesis.given(question=st.integers(1, 300), answer=ANSWERS, other=ANSWERS)
def test_neither_is_it_where_the_question_is_cut(question, answer, other):
    text = OPEN | {"lang": "en", "question": "Where is the lesion? " * question}
    a, b = (row(text | {"answer": x}, answer=False) for x in (answer, other))
    for k in ("text", "mask_ar", "segment", "mask_input"):
        np.testing.assert_array_equal(a[k], b[k])
    assert EOS not in a["text"] and (a["text"] != PAD).sum() <= 161


def test_questions_of_detect_vqa_never_hold_their_answer_in_the_row():
    for seed in range(40):
        pp = "detect_vqa|prompt('detect')|ground|tok(length=60, answer=False)"
        example = {"modality": "CT", "segmap": SEGMAP, "rng": np.random.default_rng(seed)}
        out = builder.get_preprocess_fn(pp)(example)
        used = [BOS, *pieces(out["prefix"])]
        assert out["text"].tolist() == used + [PAD] * (61 - len(used))
        assert out["reference"] == out["texts"][0]["suffix"]
