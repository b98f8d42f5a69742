import collections

import numpy as np
import pytest

from big_rad.grounding import classes, markup
from big_rad.grounding.codec import get_codec
from big_rad.pp import builder, ops_detect, packed
from big_rad.pp import tokenizer as tokenizer_lib

CODEC = get_codec("radgrounder")
SEGMAP = np.zeros((64, 64), np.uint8)
SEGMAP[16:32, 16:48] = 5  # liver
SEGMAP[40:48, 40:48] = 3  # left kidney
NAMES = {"en": {5: "liver", 3: "left kidney"}, "de": {5: "Leber", 3: "linke Niere"}}


def ask(pp="detect_vqa(n=1)", seed=0, **fields):
    """Returns the texts that the op adds."""
    example = {"id": "a", "modality": "CT", "segmap": SEGMAP, "rng": np.random.default_rng(seed)}
    out = builder.get_preprocess_fn(pp)(example | fields)
    return out.get("texts") or []


def many(pp, n=300, **fields):
    return [t for seed in range(n) for t in ask(pp, seed, **fields)]


def of(kind, lang, answer=None, **fields):
    """Returns one text of this kind, and with this answer if one is given."""
    pp = f"detect_vqa(kinds={kind!r}, lang={lang!r})"
    return next(t for t in many(pp, **fields) if answer in (None, t["answer"]))


@pytest.mark.parametrize(
    "kind, lang, answer, suffix",
    [
        ("present", "en", "Yes, liver.", "Yes, {box}liver</p>."),
        ("present", "de", "Ja, Leber.", "Ja, {box}Leber</p>."),
        ("present", "en", "No.", "No."),
        ("present", "de", "Nein.", "Nein."),
        ("where", "en", "liver", "{box}liver</p>"),
        ("where", "de", "Leber", "{box}Leber</p>"),
        ("where", "en", "Not visible.", "Not visible."),
        ("where", "de", "Nicht sichtbar.", "Nicht sichtbar."),
        ("list", "en", "liver, left kidney", "{box}liver</p>, {kidney}left kidney</p>"),
        ("list", "de", "Leber, linke Niere", "{box}Leber</p>, {kidney}linke Niere</p>"),
    ],
)
def test_answers_carry_the_boxes_of_what_they_name(kind, lang, answer, suffix):
    text = of(kind, lang, answer)
    ground = builder.get_preprocess_fn("prompt('detect')|ground('boxes')")
    rng = np.random.default_rng(0)
    (out,) = ground({"texts": [text], "segmap": SEGMAP, "rng": rng})["texts"]
    box = "<p bbox=<loc0128><loc0128><loc0384><loc0256> id=<seg005>>"
    kidney = "<p bbox=<loc0320><loc0320><loc0384><loc0384> id=<seg003>>"
    assert out["suffix"] == suffix.format(box=box, kidney=kidney)
    assert out["prefix"] == f"\n{text['question']} \n"


def test_questions_are_the_templates_and_both_languages_ask_the_same():
    for seed in range(60):
        english, german = ask(seed=seed)
        assert (english["lang"], german["lang"]) == ("en", "de")
        assert english["template"] == german["template"]
        kind = english["template"].split(".")[1]
        ids = [[c for _, c in t["keywords"]] for t in (english, german)]
        assert ids[0] == ids[1]
        for t in (english, german):
            variant = int(t["template"].split(".")[2])
            start = ops_detect.QUESTIONS[kind][t["lang"]][variant].split("{}")[0]
            assert t["question"].startswith(start) and t["task"] == "detect"
            assert (t["question_type"] == "yesno") == (kind == "present")


def test_predict_asks_for_organs_as_training_does():
    from big_rad import predict

    for lang in ("en", "de"):
        asked = {t["question"] for t in many(f"detect_vqa(kinds='where', lang={lang!r})")}
        assert predict.detect_question("liver", lang) in asked


def test_kinds_are_uniform_and_wordings_too():
    count = collections.Counter(t["template"] for t in many("detect_vqa(lang='en')", 1200))
    kinds = collections.Counter()
    for template, n in count.items():
        kinds[template.split(".")[1]] += n
    assert set(kinds) == set(ops_detect.KINDS) and all(330 < n < 470 for n in kinds.values())
    assert all(n > 80 for n in count.values()) and len(count) == 8


def test_presence_is_yes_as_often_as_no_and_absent_positions_are_asked_at_the_rate_given():
    texts = many("detect_vqa(kinds='present', lang='en')", 1000)
    assert 440 < sum(t["answer"] == "No." for t in texts) < 560
    texts = many("detect_vqa(kinds='where', lang='de', negative=0.2)", 1000)
    assert 150 < sum(t["answer"] == "Nicht sichtbar." for t in texts) < 250


def test_several_questions_of_an_image_differ():
    texts = many("detect_vqa(n=5, lang='en')", 50)
    assert len(texts) > 200
    for seed in range(50):
        questions = [t["question"] for t in ask("detect_vqa(n=5, lang='en')", seed)]
        assert len(set(questions)) == len(questions)


def test_lists_hold_the_largest_classes_first_and_no_more_than_asked_for():
    segmap = np.zeros((64, 64), np.uint8)
    for i, c in enumerate((1, 2, 3, 4, 5, 6)):
        segmap[8 * i : 8 * i + 8, : 4 + 2 * i] = c
    (text,) = ask("detect_vqa(kinds='list', lang='en', max_list=3)", segmap=segmap)
    assert [c for _, c in text["keywords"]] == [6, 5, 4]
    assert text["answer"] == "stomach, liver, gallbladder"
    (text,) = ask("detect_vqa(kinds='list', lang='en')", segmap=segmap)
    assert len(text["keywords"]) == 6


@pytest.mark.parametrize("fields", [{"segmap": 0 * SEGMAP}, {"segmap": packed.pack(0 * SEGMAP)}])
def test_an_image_that_shows_nothing_has_empty_lists_and_no_yes_or_no(fields):
    texts = many("detect_vqa", 100, **fields)
    assert {t["answer"] for t in texts} == {
        "None.", "Keine.", "Not visible.", "Nicht sichtbar."
    }  # fmt: skip
    assert all(t["keywords"] == [] for t in texts)


def test_boxes_alone_will_do_and_nothing_is_asked_without_either():
    boxes = [[16, 16, 48, 32, 5], [40, 40, 48, 48, 3]]
    fields = dict(segmap=None, boxes=boxes, image=np.zeros((64, 64), np.int16))
    for seed in range(20):
        assert ask(seed=seed, **fields) == ask(seed=seed)
        assert ask(seed=seed, segmap=packed.pack(SEGMAP)) == ask(seed=seed)
    assert ask(segmap=None) == [] and ask(segmap=None, boxes=[]) == []


def test_slivers_are_neither_asked_about_nor_absent():
    segmap = np.zeros((512, 512), np.uint8)
    segmap[:200, :200], segmap[300, 300:310] = 5, 1
    texts = many("detect_vqa(lang='en')", 2000, segmap=segmap)
    assert not any("spleen" in t["question"] + t["answer"] for t in texts)


# Absent classes


def negatives(modality, n=3000, pp="detect_vqa(kinds='present', lang='en')", **fields):
    """Returns the ids of all classes whose presence is denied."""
    texts = many(pp, n, modality=modality, **fields)
    names = {c.en: c.id for c in classes.CLASSES}
    questions = ops_detect.QUESTIONS["present"]["en"]
    found = set()
    for t in texts:
        if t["answer"] == "No.":
            start, end = questions[int(t["template"].split(".")[2])].split("{}")
            found.add(names[t["question"].removeprefix(start).removesuffix(end)])
    return found


def test_absent_classes_are_those_that_the_modality_s_labels_distinguish():
    assert negatives("CT") == set(range(1, 118)) - {5, 3}
    mr = set(classes.MR_TO_ID.values())
    assert negatives("MR") == mr - {5, 3}


def test_other_modalities_are_asked_only_what_needs_no_absent_class():
    texts = many("detect_vqa", 200, modality="OT")
    assert {t["template"].split(".")[1] for t in texts} == {"where", "list"}
    assert not {t["answer"] for t in texts} & {"Not visible.", "Nicht sichtbar."}


@pytest.mark.parametrize(
    "shown, never",
    [
        (118, {10, 11}), (119, {12, 13, 14}), (121, set(range(26, 51))), (25, {26}), (26, {25}),
        (51, {61}), (19, {18}), (18, {19}),
    ],
)  # fmt: skip
def test_parts_and_wholes_of_what_is_shown_are_not_denied(shown, never):
    found = negatives("CT", segmap=np.full((4, 4), shown, np.uint8))
    assert not found & (never | {shown})
    assert len(found) == 117 - len((never | {shown}) & set(range(1, 118)))


@pytest.mark.parametrize("shown, whole", [(10, 118), (14, 119), (31, 121)])
def test_a_whole_is_not_denied_where_a_part_is_shown_but_other_parts_are(shown, whole):
    labelled = (shown, whole, *ops_detect.PARTS[whole])
    pp = f"detect_vqa(n=4, lang='en', kinds='present', labelled={labelled})"
    gone = negatives("OT", 300, pp, segmap=np.full((4, 4), shown, np.uint8))
    assert gone == set(ops_detect.PARTS[whole]) - {shown}


def test_classes_that_may_be_shown_are_not_denied_nor_left_out_of_a_list():
    labelled = (3, 5, 51, 118, 119)
    pp = f"detect_vqa(n=4, lang='en', labelled={labelled})"
    texts = many(pp, 300, modality="OT", unsure=[118, 119, 5])
    denied = {t["question"] for t in texts if t["answer"] in ("No.", "Not visible.")}
    assert any("heart" in q for q in denied)
    assert not any("lung" in q or "liver" in q for q in denied)
    assert not any(".list." in t["template"] for t in texts)
    # The liver is listed as unsure, but the label map shows it.
    texts = many(pp, 300, modality="OT", unsure=[5])
    assert any(".list." in t["template"] for t in texts)
    assert any("lung" in t["question"] for t in texts)


def test_parts_of_a_class_that_may_be_shown_are_not_denied():
    found = negatives("CT", unsure=[118])
    assert found == set(range(1, 118)) - {5, 3, 10, 11}


def test_a_dataset_may_say_which_classes_it_labels():
    labelled = (1, 3, 5, 6)
    texts = many(f"detect_vqa(lang='en', labelled={labelled})", 600, modality="OT")
    asked = {w for t in texts for w in ("liver", "left kidney", "spleen", "stomach")
             if w in t["question"]}  # fmt: skip
    assert asked == {"liver", "left kidney", "spleen", "stomach"}
    assert not any("brain" in t["question"] for t in texts)
    (text,) = ask("detect_vqa(lang='en', kinds='list', labelled=(1, 5))")
    assert text["answer"] == "liver"


def words_only_accuracy(rates, pp):
    """The share of invented images for which the best guess from the class name alone is right."""
    rng = np.random.default_rng(0)
    says = collections.defaultdict(list)
    for seed in range(6000):
        segmap = np.zeros((1, 64), np.uint8)
        for c in rates:
            if rng.random() < rates[c]:
                segmap[0, c] = c
        for t in ask(pp, seed, segmap=segmap):
            says[t["question"].split(":")[-1].split("Struktur")[-1]].append(t["answer"] == "Nein.")
    right = sum(max(sum(v), len(v) - sum(v)) for v in says.values())
    return right / sum(len(v) for v in says.values())


def test_with_rates_the_name_of_a_class_does_not_give_the_answer_away():
    rates = {c: [0.9, 0.6, 0.3, 0.1, 0.05][c % 5] for c in range(1, 31)}
    pp = f"detect_vqa(kinds='present', lang='de', labelled={tuple(rates)}, rates={{}})"
    assert words_only_accuracy(rates, pp.format(rates)) < 0.66
    assert words_only_accuracy(rates, pp.replace(", rates={}", "")) > 0.75


# Names


@pytest.mark.parametrize("lang", ["en", "de"])
@pytest.mark.parametrize("mode", ["boxes", "masks"])
def test_every_class_can_be_listed_and_is_marked_once_as_itself(lang, mode):
    segmap = np.repeat(np.arange(122, dtype=np.uint8), 121)[None].repeat(2, axis=0)
    pp = f"detect_vqa(kinds='list', lang={lang!r}, max_list=121)|prompt|ground({mode!r})"
    (text,) = ask(pp, segmap=segmap)
    parsed = markup.parse(text["suffix"], CODEC)
    assert parsed.valid and len(parsed.entities) == 121
    named = [classes.by_id(c) for c in range(1, 122)]
    assert [e.phrase for e in parsed.entities] == [getattr(c, lang) for c in named]
    if mode == "boxes":
        assert [e.class_id for e in parsed.entities] == list(range(1, 122))
    else:
        assert text["mask_classes"] == list(range(1, 122))


# Use


def test_the_answers_to_questions_become_rows_that_keep_their_markup_whole():
    tok = tokenizer_lib.load("tiny")
    for seed in range(60):
        pp = "detect_vqa(n=3)|prompt('detect')|ground({!r})|tok(length=90, max_text={})"
        for mode, most in (("boxes", 60), ("boxes", 28), ("masks", 60), ("masks", 20)):
            example = {"modality": "CT", "segmap": SEGMAP, "rng": np.random.default_rng(seed)}
            out = builder.get_preprocess_fn(pp.format(mode, most))(example)
            row = out["text"][out["text"] > 0]
            assert row[-1] == tok.eos_id and len(row) <= most + 2
            learned = tok.decode(out["text"][out["mask_ar"] == 1], skip_special=True)
            assert markup.parse(learned, CODEC).valid


def test_existing_texts_stay_and_prompt_draws_among_all():
    report = {"task": "report", "lang": "en", "sentence": "Fine.", "keywords": []}
    assert ask(texts=[report])[0] == report
    tasks = {ask("detect_vqa|prompt", seed, texts=[report])[0]["task"] for seed in range(40)}
    assert tasks == {"report", "detect"}
    with pytest.raises(ValueError, match="before prompt"):
        ask("prompt|detect_vqa", texts=[report])


def test_questions_do_not_depend_on_the_crop_but_answers_do():
    image = np.zeros((64, 64), np.int16)
    edge = np.zeros((64, 64), np.uint8)
    edge[:2] = 5
    changed = 0
    for seed in range(100):
        plain = ask("augment()|detect_vqa(n=3)", seed, segmap=edge, image=image)
        cropped = ask("augment(crop=0.5)|detect_vqa(n=3)", seed, segmap=edge, image=image)
        assert [t["question"] for t in plain] == [t["question"] for t in cropped]
        for a, b in zip(plain, cropped, strict=True):
            if a != b:
                changed += 1
                assert a["keywords"] and not b["keywords"] and b["answer"] == a["answer_unseen"]
    assert changed > 20


@pytest.mark.parametrize(
    "pp, match",
    [
        ("detect_vqa(n=0)", "1 or more"),
        ("detect_vqa(kinds='count')", "present"),
        ("detect_vqa(lang='zh')", "languages"),
        ("detect_vqa(negative=2)", "negative"),
        ("detect_vqa(labelled=(5, 300))", "300"),
        ("detect_vqa(rates={5: 1.0})", "below 1"),
    ],
)
def test_wrong_arguments_are_refused_when_built(pp, match):
    with pytest.raises((ValueError, KeyError), match=match):
        builder.get_preprocess_fn(pp)
