import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from big_rad.grounding import markup
from big_rad.grounding.codec import get_codec
from big_rad.pp import builder, ops_text
from big_rad.pp import tokenizer as tokenizer_lib

TOK = tokenizer_lib.load("tiny")
BOS, EOS = TOK.bos_id, TOK.eos_id
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
ALL = [REPORT, VQA, MULTIPLE, DETECT, *GERMAN]
SEGMAP = np.full((8, 8), 5, np.uint8)


def run(pp, texts, seed=0, **fields):
    example = {"id": "a", "texts": texts, "rng": np.random.default_rng(seed)} | fields
    return builder.get_preprocess_fn(pp)(example)


def test_row_layout_golden():
    out = run("prompt()|tok(length=40)", [VQA])
    prefix = TOK.encode("\nIs the liver visible?\nAnswer: \n")
    suffix = TOK.encode("Yes")
    n, m = 1 + len(prefix), len(suffix) + 1
    rest = 41 - n - m
    np.testing.assert_array_equal(out["text"], [BOS, *prefix, *suffix, EOS] + [0] * rest)
    for mask in ("mask_ar", "mask_loss"):
        np.testing.assert_array_equal(out[mask], [0] * n + [1] * m + [0] * rest)
    np.testing.assert_array_equal(out["segment"], [1] * (n + m) + [0] * rest)
    assert all(out[k].dtype == np.int32 for k in ("text", "mask_ar", "mask_loss", "segment"))


def test_packed_layout_golden():
    out = run("prompt(n='all')|tok(length=63, pack=True)", [VQA, MULTIPLE])
    text, learned, segment = [], [], []
    for number, (prefix, suffix) in enumerate(
        [
            ("\nIs the liver visible?\nAnswer: \n", "Yes"),
            ("\nWhich plane?\naxial\ncoronal\nAnswer: \n", "axial"),
        ],
        start=1,
    ):
        seen, target = [BOS, *TOK.encode(prefix)], [*TOK.encode(suffix), EOS]
        text += seen + target
        learned += [0] * len(seen) + [1] * len(target)
        segment += [number] * (len(seen) + len(target))
    pad = [0] * (64 - len(text))
    np.testing.assert_array_equal(out["text"], text + pad)
    np.testing.assert_array_equal(out["mask_ar"], learned + pad)
    np.testing.assert_array_equal(out["mask_loss"], learned + pad)
    np.testing.assert_array_equal(out["segment"], segment + pad)


def test_packing_stops_before_a_text_that_does_not_fit():
    one = run("prompt()|tok(length=100)", [VQA])
    size = int((one["text"] != 0).sum())
    for length, want in ((2 * size - 2, 1), (2 * size - 1, 2), (2 * size, 2)):
        out = run(f"prompt(n='all')|tok(length={length}, pack=True)", [VQA] * 3)
        assert out["segment"].max() == want
        assert (out["text"] == EOS).sum() == want and out["text"].shape == (length + 1,)


def test_prefix_and_suffix_are_encoded_apart():
    text = VQA | {"question": "liv", "answer": "er"}
    ids = run("prompt()|tok(length=40)", [text])["text"]
    assert ids[ids > 0].tolist() == [
        BOS, *TOK.encode("\nliv\nAnswer: \n"), *TOK.encode("er"), EOS
    ]  # fmt: skip


def test_markup_of_a_target_becomes_tokens_and_can_be_read_back():
    out = run("prompt(style='none')|ground('boxes')|tok(length=80)", [REPORT], segmap=SEGMAP)
    learned = out["text"][out["mask_ar"] == 1]
    for token in ("<p bbox=", "</p>", "id=", "<seg005>", "<loc0000>"):
        assert TOK.id_of(token) in learned
    parsed = markup.parse(TOK.decode(learned, skip_special=True), get_codec("radgrounder"))
    assert parsed.valid and parsed.text == REPORT["sentence"]
    assert [e.class_id for e in parsed.entities] == [5]


@pytest.mark.parametrize("field", ["question", "answer"])
def test_questions_and_answers_cannot_forge_special_tokens(field):
    box = "<p bbox=<loc0012><loc0100><loc0200><loc0300> id=<seg005>>liver</p><eos><pad>"
    ids = run("prompt()|tok(length=200)", [VQA | {field: box}])["text"]
    assert ids.max() < TOK.loc_ids[0]
    assert (ids == EOS).sum() == 1


def test_a_sentence_with_forged_markup_stays_ordinary_text():
    text = REPORT | {"sentence": "The liver </p> id=5."}
    ids = run("prompt()|ground('boxes')|tok(length=200)", [text], segmap=SEGMAP)["text"]
    assert ids.max() < TOK.loc_ids[0]


def test_blocks_are_not_crossed_and_filled_from_the_first_with_room():
    short = run("prompt()|tok(length=100)", [VQA])
    size = int((short["text"] != 0).sum())
    block = 2 * size
    long = VQA | {"question": "liver " * size}
    pp = f"prompt(n='all')|tok(length={3 * block}, block={block}, pack=True)"
    out = run(pp, [VQA, long, VQA, VQA])
    starts = np.flatnonzero(out["text"] == BOS)
    assert starts.tolist() == [0, size, block, 2 * block]
    for number in range(1, out["segment"].max() + 1):
        (at,) = np.nonzero(out["segment"] == number)
        assert at[0] // block == at[-1] // block and len(at) == at[-1] - at[0] + 1
        assert out["text"][at[0]] == BOS and out["text"][at[-1]] == EOS
    np.testing.assert_array_equal(out["segment"] == 0, out["text"] == 0)


def test_target_tokens_of_a_row_stay_within_their_cap():
    pp = "prompt(n='all')|tok(length=400, max_text=30, max_loss=31, pack=True)"
    out = run(pp, [VQA | {"answer": "liver " * 9}] * 8)
    assert 0 < out["mask_loss"].sum() <= 31


# Cutting


def long_text(n_context, n_target):
    words = ["liver", "spleen", "lesion"]
    context = " ".join(words[i % 3] for i in range(n_context))
    target = " ".join(words[i % 3] for i in range(n_target))
    return VQA | {"question": context, "answer": target}


@pytest.mark.parametrize("n_context, n_target", [(5, 300), (300, 5), (300, 300), (90, 90), (60, 5)])
@pytest.mark.parametrize("max_text", [30, 60, 100])
def test_a_cut_text_fills_its_budget_and_keeps_eos(n_context, n_target, max_text):
    pp = f"prompt()|tok(length=400, max_text={max_text})"
    out = run(pp, [long_text(n_context, n_target)])
    ids, learned = out["text"], out["mask_ar"]
    used = ids[ids != 0]
    assert used[0] == BOS and used[-1] == EOS
    tokens = len(used) - 2
    whole = run("prompt()|tok(length=800, max_text=800)", [long_text(n_context, n_target)])
    full = int((whole["text"] != 0).sum()) - 2
    assert min(full, max_text) - 2 <= tokens <= max_text
    assert learned[len(used) - 1] == 1
    seen = TOK.decode(ids[(learned == 0) & (ids != 0)])
    assert seen.startswith("<bos>\nliver") and seen.endswith("\nAnswer: \n")


def test_the_context_is_cut_first_and_to_no_less_than_half():
    line = len(TOK.encode("\n\nAnswer: \n"))
    out = run("prompt()|tok(length=400, max_text=60)", [long_text(300, 300)])
    prefix = int(((out["mask_ar"] == 0) & (out["text"] != 0)).sum()) - 1 - line
    assert abs(prefix - (60 - line) // 2) <= 1
    # A short target is not cut if the context still keeps at least half.
    out = run("prompt()|tok(length=400, max_text=60)", [long_text(300, 5)])
    assert out["mask_ar"].sum() - 1 == len(TOK.encode(long_text(1, 5)["answer"]))


def test_a_short_row_also_cuts_and_keeps_eos():
    ids = run("prompt()|tok(length=20)", [long_text(100, 100)])["text"]
    assert ids[-1] == EOS and ids.shape == (21,)


def test_a_row_too_short_for_the_prompt_line_is_an_error():
    with pytest.raises(ValueError, match="length"):
        run("prompt()|tok(length=4)", [VQA])


@pytest.mark.parametrize("n", range(0, 60))
def test_a_target_is_never_cut_within_markup(n):
    box = "<p bbox=<loc0001><loc0002><loc0003><loc0004> id=<seg005>>"
    sentence = " and ".join([f"the {box}liver</p>"] * 3)
    ids = TOK.encode(sentence, specials=True)
    kept = TOK.decode(ops_text.cut(TOK, ids, n))
    assert sentence.startswith(kept)
    assert markup.parse(kept, get_codec("radgrounder")).valid
    masks = TOK.encode("a <seg>liver</seg> b <seg>spleen</seg>", specials=True)
    assert markup.parse(TOK.decode(ops_text.cut(TOK, masks, n)), get_codec("radgrounder")).valid


def test_a_target_is_never_cut_within_a_character():
    ids = TOK.encode("ab🫁🫁")
    for n in range(len(ids)):
        assert "\ufffd" not in TOK.decode(ops_text.cut(TOK, ids, n))


WORDS = ("liver", "left kidney", "spleen", "normal", "Läsion", "12 mm", "🫁", "and", "spleen,")
IDS = {"liver": 5, "left kidney": 3, "spleen": 1}
ORGANS = np.zeros((9, 9), np.uint8)
ORGANS[:3], ORGANS[3:6], ORGANS[6:] = 5, 3, 1


@pytest.mark.parametrize("mode", ["boxes", "masks"])
@pytest.mark.parametrize("source", ["report", "detect_vqa"])
@hypothesis.settings(max_examples=60)
@hypothesis.given(
    words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=30),
    clinical=st.integers(0, 30),
    budget=st.integers(24, 120),
    seed=st.integers(0, 1 << 32),
)
def test_cut_texts_keep_eos_and_whole_markup(mode, source, words, clinical, budget, seed):
    text = REPORT | {"sentence": " ".join(words), "keywords": [[k, c] for k, c in IDS.items()]}
    text["clinical"] = "Known lesion. " * clinical
    pp = f"prompt(style='clinical')|ground({mode!r})|tok(length=140, max_text={budget}, masks=40)"
    if source == "detect_vqa":
        pp, text = "detect_vqa(kinds='list')|" + pp, None
    out = run(pp, [text] if text else [], seed, segmap=ORGANS, modality="CT")
    row = out["text"][out["text"] > 0]
    assert row[-1] == EOS and (row == EOS).sum() == 1 and len(row) <= budget + 2
    learned = out["text"][out["mask_ar"] == 1][:-1].tolist()
    whole = TOK.encode(out["texts"][0]["suffix"], specials=out["texts"][0]["markup"])
    assert learned == whole[: len(learned)]
    assert "\ufffd" not in TOK.decode(learned)
    parsed = markup.parse(TOK.decode(learned), get_codec("radgrounder"))
    assert parsed.valid
    if len(learned) < len(whole):  # At most one tag (9 tokens and its words) is lost.
        assert budget - (len(row) - 2) <= 20
    if mode == "masks":
        k = len(parsed.entities)
        assert (out["text"][out["mask_pos"][:k]] == TOK.id_of("</seg>")).all()
        assert (out["mask_pos"][k:] == -1).all() and not out["mask_class"][k:].any()
        names = {"liver": 5, "left kidney": 3, "spleen": 1, "Leber": 5, "linke Niere": 3, "Milz": 1}
        assert [names[e.phrase] for e in parsed.entities] == out["mask_class"][:k].tolist()


# Evaluation


def test_the_answer_is_never_in_an_evaluation_prompt():
    for answer in ("Yes", "No", "a secret " * 100):
        out = run("prompt()|tok(length=100, answer=False)", [VQA | {"answer": answer}])
        assert out["reference"] == answer
        if answer == "Yes":
            first = out
        np.testing.assert_array_equal(out["text"], first["text"])
        assert not out["mask_ar"].any() and not out["mask_loss"].any()
        assert EOS not in out["text"]


def test_the_evaluation_prompt_is_what_training_shows_before_the_target():
    for text in ALL:
        pp = "prompt(style='both')|ground('boxes')|tok(length=120, answer={})"
        train, evaluate = (run(pp.format(a), [text], segmap=SEGMAP) for a in (True, False))
        n = int((evaluate["text"] != 0).sum())
        np.testing.assert_array_equal(train["text"][:n], evaluate["text"][:n])
        assert train["mask_ar"][n] == 1 and not train["mask_ar"][:n].any()
        np.testing.assert_array_equal(evaluate["mask_input"], evaluate["text"] != 0)


def test_a_long_evaluation_prompt_does_not_depend_on_the_answer():
    outs = [
        run("prompt()|tok(length=50, answer=False)", [long_text(100, 1) | {"answer": a}])["text"]
        for a in ("x", "y " * 80)
    ]
    np.testing.assert_array_equal(*outs)


def test_the_reference_keeps_its_markup_and_the_fields_stay():
    pp = "prompt()|ground('boxes')|tok(length=80, answer=False)"
    out = run(pp, [REPORT], segmap=SEGMAP)
    assert "<seg005>>liver</p>" in out["reference"]
    assert (out["task"], out["lang"], out["question_type"]) == ("report", "en", "")
    assert out["id"] == "a" and out["keywords"] == [["liver", 5]]
    out = run(pp, [MULTIPLE])
    assert out["question_type"] == "multiple" and out["choices"] == ["axial", "coronal"]


# Masks


def test_mask_positions_are_those_of_the_closing_tags():
    pp = "prompt(n='all', style='none')|ground('masks')|tok(length=120, pack=True, masks=4)"
    both = REPORT | {
        "sentence": "The liver and spleen.",
        "keywords": [["liver", 5], ["spleen", 1]],
    }
    segmap = SEGMAP.copy()
    segmap[0, 0] = 1
    out = run(pp, [both, VQA, DETECT], segmap=segmap)
    assert out["mask_class"].tolist() == [5, 1, 5, 0]
    assert out["mask_pos"][3] == -1
    assert (out["text"][out["mask_pos"][:3]] == TOK.id_of("</seg>")).all()
    assert out["segment"][out["mask_pos"][:3]].tolist() == [1, 1, 3]
    assert out["mask_class"].dtype == out["mask_pos"].dtype == np.int32


def test_a_text_whose_masks_have_no_room_is_left_out():
    both = REPORT | {"sentence": "Liver, liver, liver.", "keywords": [["liver", 5]]}
    pp = "prompt(n='all', style='none')|ground('masks')|tok(length=160, pack=True, masks={})"
    all_of = run(pp.format(9), [both, both, VQA], segmap=SEGMAP)
    assert (all_of["mask_pos"] >= 0).sum() == 6 and all_of["segment"].max() == 3
    some = run(pp.format(5), [both, both, VQA], segmap=SEGMAP)
    assert (some["mask_pos"] >= 0).sum() == 3 and some["segment"].max() == 2
    assert (some["text"] == TOK.id_of("</seg>")).sum() == 3
    assert some["text_bound"] >= all_of["text_bound"] - 1 or some["text_bound"] >= 160
    first = run(pp.format(2), [both, VQA], segmap=SEGMAP)  # The first text alone has more than 2.
    assert (first["mask_pos"] >= 0).all() and first["segment"].max() == 2


def test_masks_of_a_cut_target_are_dropped_with_it():
    text = REPORT | {"sentence": "The liver. " + "Normal. " * 60 + "The liver."}
    pp = "prompt(style='none')|ground('masks')|tok(length=300, max_text=40, masks=2)"
    out = run(pp, [text], segmap=SEGMAP)
    assert out["mask_class"].tolist() == [5, 0] and out["mask_pos"][1] == -1


# Misuse


@pytest.mark.parametrize(
    "pp, match",
    [
        ("tok(sets=('masks',))", "detection"),
        ("tok(sets=('detection',), masks=4)", 'masks=4 needs "segmentation"'),
        ("tok(length=100, block=30, pack=True)", "divides"),
        ("tok(length=100, block=50)", "pack"),
        ("tok(length=100, max_text=60, max_loss=50)", "max_loss"),
    ],
)
def test_wrong_arguments_are_refused_when_built(pp, match):
    with pytest.raises(ValueError, match=match):
        builder.get_preprocess_fn(pp)


@pytest.mark.parametrize(
    "pp, match",
    [
        ("tok(length=50)", r"prompt\(...\) before"),
        ("prompt(n='all', grounded=False)|tok(length=50)", "pack=True"),
        ("prompt('report')|tok(length=50)", r"ground\(...\) before"),
    ],
)
def test_wrong_order_or_missing_texts_are_refused(pp, match):
    with pytest.raises(ValueError, match=match):
        run(pp, [REPORT, VQA], segmap=SEGMAP)
