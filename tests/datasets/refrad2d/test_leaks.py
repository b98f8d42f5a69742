import pytest

from big_rad.datasets.refrad2d import leaks, source

CT, MR = "CT", "MR"


def read(**splits):
    """Splits from `split_modality=[(sentence, image ids), ...]`, as `leaks.read_splits` reads."""
    listed = {tuple(k.split("_")): v for k, v in splits.items()}
    sentences = {
        key: [source.Sentence(text, tuple(ids), n) for n, (text, ids) in enumerate(some, 1)]
        for key, some in listed.items()
    }
    return leaks.Read(sentences, {key: [] for key in listed})


def left(found, patients=(), **options):
    """{split_modality: {sentence: ids}} after leaks are left out, and (level, line) of problems."""
    leaks.leave_out(source.Places.under("x"), found, dict(patients), **options)
    kept = {"_".join(k): {s.text: s.ids for s in v} for k, v in found.sentences.items()}
    return kept, {"_".join(k): v for k, v in found.problems.items() if v}


def test_a_sentence_in_two_splits_with_other_images_is_kept_and_warned_of():
    found = read(
        train_CT=[("Normal liver.", ["a", "b"]), ("A cyst.", ["c"])],
        validation_CT=[("Normal liver.", ["d"])],
        test_CT=[("Normal liver.", ["e"])],
    )
    kept, problems = left(found)
    assert kept["train_CT"] == {"Normal liver.": ("a", "b"), "A cyst.": ("c",)}
    assert kept["validation_CT"] == {"Normal liver.": ("d",)}
    assert problems.keys() == {"train_CT", "validation_CT"}
    for some in problems.values():
        (problem,) = some
        assert problem.level == "warning" and problem.line == 1
        assert problem.message == leaks.REPEATED.format(split="test")
        assert "Normal liver" not in str(problem)


@pytest.mark.parametrize("modality", [CT, MR])
def test_repeated_sentences_can_be_dropped_within_a_modality(modality):
    found = read(
        **{f"train_{modality}": [("Normal.", ["a"]), ("Cyst.", ["c"])]}, test_CT=[("Normal.", "b")]
    )
    kept, problems = left(found, drop_repeated=True)
    (problem,) = problems[f"train_{modality}"]
    same = modality == CT
    assert problem.level == ("error" if same else "warning")
    assert ("Normal." in kept[f"train_{modality}"]) == (not same)


def test_composed_and_decomposed_sentences_are_the_same():
    found = read(train_CT=[("U\u0308bersicht.", ["a"])], test_CT=[("\u00dcbersicht.", ["b"])])
    assert left(found)[1]["train_CT"][0].level == "warning"


def test_an_image_of_a_repeated_sentence_that_is_in_two_splits_is_an_error():
    found = read(train_CT=[("Normal.", ["a", "b"])], test_CT=[("Normal.", ["b"])])
    kept, problems = left(found)
    assert kept == {"train_CT": {"Normal.": ("a",)}, "test_CT": {"Normal.": ("b",)}}
    assert [p.level for p in problems["train_CT"]] == ["warning", "error"]
    assert problems["train_CT"][1].field == "ids"


def test_a_patient_in_two_splits_stays_in_the_one_for_testing():
    found = read(
        train_CT=[("A.", ["a1", "a2", "z"]), ("B.", ["a1"])],
        train_MR=[("C.", ["a3", "u1"])],
        test_CT=[("D.", ["a4", "u2"])],
    )
    patients = {"a1": "p", "a2": "p", "a3": "p", "a4": "p", "z": "q", "u1": "", "u2": ""}
    kept, problems = left(found, patients)
    assert kept == {
        "train_CT": {"A.": ("z",)}, "train_MR": {"C.": ("u1",)}, "test_CT": {"D.": ("a4", "u2")},
    }  # fmt: skip
    assert [(p.level, p.line, p.field) for p in problems["train_CT"]] == [
        ("error", 1, "ids"), ("error", 1, "ids"), ("error", 2, "ids"),
    ]  # fmt: skip
    message = problems["train_MR"][0].message
    assert "the patient of a3 also has images in split_v18" in message and "'p'" not in message


def test_a_patient_may_be_in_several_sentences_and_modalities_of_a_split():
    found = read(train_CT=[("A.", ["a1"]), ("B.", ["a1", "a2"])], train_MR=[("C.", ["a3"])])
    kept, problems = left(found, dict.fromkeys(("a1", "a2", "a3"), "p"))
    assert not problems and kept["train_CT"] == {"A.": ("a1",), "B.": ("a1", "a2")}


def test_the_limit_counts_sentences_that_are_left():
    found = read(train_CT=[("A.", ["x"]), ("B.", ["b"]), ("C.", ["c"])], test_CT=[("D.", ["x"])])
    assert list(left(found, limit=1)[0]["train_CT"]) == ["B."]
