"""Many images at once, the options of each question, and what may be given as an image."""

import dataclasses
import functools
import io
import itertools
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from big_rad import predict
from big_rad.inference import feed, inputs, radgrounder
from big_rad.inference.asks import Ask
from big_rad.inference.requests import Inbox
from big_rad.pp import tokenizer as tokenizers
from tests.helpers import radgrounders
from tests.helpers.radgrounders import fixed, grey

CT = get_testdata_file("CT_small.dcm")


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return radgrounders.write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def model(run_dir):
    return predict.RadGrounder.load(run_dir, rows=4, alternatives=2)


@pytest.fixture(scope="module")
def asks():
    """Questions of all tasks about images of several sizes and kinds."""
    images = [CT, get_testdata_file("MR_small.dcm"), *(grey(20 + i, 30 + i) for i in range(3))]
    found = []
    for i, image in enumerate(images):
        found += [
            Ask(image, question="Where?" if i % 2 else "", max_new_tokens=4 + i),
            Ask(image, task="vqa", question="Is it there?", max_new_tokens=3),
            Ask(image, task="vqa", question="Which?", choices=("liver", "spleen"), lang="de"),
            Ask(image, task="detect", question="Detect: liver.", temperature=1.0, seed=i),
        ]
    return [dataclasses.replace(a, max_new_tokens=a.max_new_tokens or 12) for a in found]


@pytest.fixture(scope="module")
def alone(model, asks):
    return [next(model.ask([ask])) for ask in asks]


def same(a, b):
    assert (a.raw, a.text, a.tokens, a.warnings) == (b.raw, b.text, b.tokens, b.warnings)
    assert a.logprob == pytest.approx(b.logprob, abs=1e-3)
    assert a.confidence.value == pytest.approx(b.confidence.value, abs=1e-4)


def test_many_questions_of_all_kinds_are_answered_as_each_alone_and_in_order(model, asks, alone):
    together = list(model.ask(asks))
    assert len({p.raw for p in together}) > 4
    for one, other in zip(alone, together, strict=True):
        same(one, other)


def test_answers_can_come_as_they_finish_with_their_numbers(model, asks, alone):
    found = dict(model.ask(iter(asks), in_order=False))
    assert sorted(found) == list(range(len(asks)))
    for i, prediction in found.items():
        same(alone[i], prediction)


def test_a_list_of_images_gives_an_iterator_and_one_image_gives_a_prediction(model):
    images = [grey(20, 30), CT, grey(25, 25)]
    one = [model.report(image, max_new_tokens=5) for image in images]
    many = model.report(images, max_new_tokens=5)
    assert iter(many) is many
    for a, b in zip(one, many, strict=True):
        same(a, b)


def test_an_image_that_cannot_be_read_is_an_error_in_its_place(model, tmp_path):
    bad = tmp_path / "broken.dcm"
    bad.write_bytes(b"no image")
    asks = [Ask(x, max_new_tokens=3) for x in (CT, bad, CT)]
    first, error, last, unknown = model.ask([*asks, Ask(CT, task="summary")], errors="return")
    same(first, last)
    assert isinstance(unknown, ValueError) and "task is 'summary'" in str(unknown)
    assert isinstance(error, ValueError) and "broken.dcm" in str(error)
    answers = model.ask(asks)
    same(first, next(answers))  # Though the error was known before.
    with pytest.raises(ValueError, match=r"broken\.dcm"):
        next(answers)


def test_what_the_iterable_of_questions_raises_is_raised_and_nothing_hangs(model):
    def asks():
        yield Ask(CT, max_new_tokens=3)
        raise KeyError("mine")

    answers = model.ask(asks())
    next(answers)
    with pytest.raises(KeyError, match="mine"):
        next(answers)
    endless = model.ask(Ask(CT, max_new_tokens=3) for _ in iter(int, 1))
    next(endless)
    endless.close()  # The thread that reads ahead ends too.


def test_a_question_whose_time_is_over_is_a_timeout(model):
    late, other = model.ask(
        [Ask(CT, max_new_tokens=3, timeout=-1.0), Ask(CT, max_new_tokens=3)], errors="return"
    )
    assert isinstance(late, TimeoutError) and other.tokens >= 1


def test_arrays_bytes_and_dicom_objects_are_read_as_their_files_are(model, tmp_path):
    want = model.report(CT, max_new_tokens=4)
    dataset = pydicom.dcmread(CT)
    before = dataset.to_json(), dataset.file_meta.to_json()
    for image in (dataset, open(CT, "rb").read()):
        assert model.report(image, max_new_tokens=4) == want
    assert before == (dataset.to_json(), dataset.file_meta.to_json())
    pixels = grey(20, 30).pixels
    np.save(tmp_path / "a.npy", pixels)
    stored = inputs.read(tmp_path / "a.npy", modality="CT")
    given = inputs.read(pixels, modality="CT")
    np.testing.assert_array_equal(stored.pixels, given.pixels)
    assert model.report(pixels, max_new_tokens=4, modality="CT") == model.report(
        stored, max_new_tokens=4
    )
    colours = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    png = io.BytesIO()
    Image.fromarray(colours).save(png, "PNG")
    np.testing.assert_array_equal(inputs.read(colours).pixels, inputs.read(png.getvalue()).pixels)


def test_images_that_do_not_say_enough_are_errors_with_a_remedy(model):
    with pytest.raises(ValueError, match="the given array: NPY does not say the modality"):
        model.report(grey(20, 30).pixels)
    dataset = pydicom.dcmread(CT)
    del dataset.file_meta
    with pytest.raises(ValueError, match="TransferSyntaxUID"):
        model.report(dataset)
    with pytest.raises(TypeError, match="an image is a int"):
        model.report(5)
    with pytest.raises(ValueError, match="the slice was read before"):
        model.report(grey(20, 30), modality="MR")


@pytest.mark.parametrize(
    "fields, said",
    [
        (dict(task="summary"), "task is 'summary'; use \"report\" or"),
        (dict(lang="fr"), "lang is 'fr'"),
        (dict(ground="arrows"), "ground is 'arrows'"),
        (dict(choices=["a"]), 'choices belongs to the task "vqa"'),
        (dict(task="vqa"), "question is empty"),
        (dict(task="vqa", question="Which?", choices=["liver"]), "choices has only the answer"),
        (dict(task="vqa", question="Which?", choices=["No", "no."]), "give two that differ"),
        (dict(min_score=2), "min_score is 2"),
        (dict(temperature=-1.0), "temperature is -1"),
        (dict(top_p=0.0), "top_p is 0"),
        (dict(question=5), "question is 5; give a text"),
        (dict(min_score="x"), "min_score is 'x'; give a number"),
        (dict(timeout="1"), "timeout is '1'; give a number"),
        (dict(seed=1.5), "seed is 1.5; give a whole number"),
        (dict(max_new_tokens="9"), "max_new_tokens is '9'; give a whole number"),
        (dict(max_new_tokens=0), "max_new_tokens is 0"),
        (dict(seed=-1), "seed is -1"),
        (dict(modality="XR"), "modality is 'XR'"),
        (dict(timeout=float("nan")), "timeout is nan"),
    ],
)
def test_a_field_of_a_question_that_does_not_fit_is_an_error(fields, said):
    with pytest.raises(ValueError) as error:
        Ask(CT, **fields).check()
    assert said in str(error.value)


def test_under_constraints_the_answer_is_one_of_the_choices_and_the_rest_is_said(model):
    choices = ["liver", "spleen", "left kidney"]
    made = model.answer(CT, "Which?", choices=choices, max_new_tokens=6)
    assert made.text in choices and made.confidence.kind == "multiple"
    assert 1 / 3 <= made.confidence.value < 1
    assert any("the likeliest of the choices is" in w for w in made.warnings)
    free = model.answer(CT, "Which?", choices=choices, max_new_tokens=6, constrained=False)
    assert free.text not in choices
    assert any("is not one of the choices" in w for w in free.warnings)


def test_a_choice_that_the_model_did_not_write_is_not_calibrated(model, monkeypatch):
    sure = SimpleNamespace(apply=lambda kind, lang, features: 0.9)
    monkeypatch.setattr(model, "_reader", dataclasses.replace(model._reader, calibration=sure))
    forced = model.answer(CT, "Which?", choices=["liver", "spleen"], max_new_tokens=6)
    assert forced.confidence.status == "uncalibrated" and forced.confidence.value != 0.9
    assert model.answer(CT, "Which?", max_new_tokens=6).confidence.value == 0.9


def test_one_bad_question_in_a_list_is_an_error_in_its_place(model):
    asks = [Ask(CT, max_new_tokens=3), "no question", Ask(CT, max_new_tokens="9")]
    first, second, third = model.ask(asks, errors="return")
    assert first.tokens >= 1
    assert "give an Ask" in str(second) and "max_new_tokens is '9'" in str(third)


def test_details_have_the_tokens_with_their_likeliest_alternatives(model):
    made = model.report(CT, max_new_tokens=6, constrained=False)
    assert len(made.details) == made.tokens
    assert sum(d.logprob for d in made.details) == pytest.approx(made.logprob, abs=1e-3)
    for detail in made.details:
        (first, high), (_, low) = detail.alternatives
        assert high >= low and first == detail.text  # Greedy decoding takes the likeliest.


def test_texts_that_reach_their_limit_say_so(model):
    made = model.report(CT, max_new_tokens=3, constrained=False)
    assert made.tokens == 3 and any("reached its limit of 3 tokens" in w for w in made.warnings)
    assert not any("limit" in w for w in fixed("short").report(grey(20, 30)).warnings)


def test_min_score_withholds_a_box_keeps_its_words_and_says_so(model, monkeypatch):
    box = "<p bbox=<loc0128><loc0064><loc0256><loc0512> id=<seg005>>{}</p>"
    text = f"The {box.format('liver')} and {box.format('spleen')}."
    # The first box is sure, the second vague; each token has the probability 0.9.
    tokenizer, codec = model.tokenizer, model.codec
    tokens = np.array(tokenizer.encode(text, eos=True, specials=True), np.int32)
    probs = np.zeros((8, codec.max_bin + 1))
    probs[np.arange(4), (128, 64, 256, 512)] = 1
    probs[4:] = 1 / probs.shape[1]
    result = {
        "tokens": tokens, "logprob": np.float32(len(tokens) * np.log(0.9)),
        "token_logprobs": np.full(len(tokens), np.log(0.9)), "location_probs": probs,
    }  # fmt: skip
    ask = Ask(grey(100, 200), min_score=0.5)
    made = model.read(model.prepare(ask).context, result)
    sure, vague = made.entities
    assert sure.box == pytest.approx((50, 12.5, 100, 100)) and not sure.withheld
    assert sure.confidence.value == pytest.approx(0.9)
    assert vague.box is None and vague.withheld and vague.confidence.value < 0.1
    assert made.text == "The liver and spleen."
    assert any(
        "the box of 'spleen' is withheld" in w and "(uncalibrated)" in w for w in made.warnings
    )
    plain = predict.predictions.to_json(made, ask.image)
    assert plain["entities"][1]["withheld"] == "below min_score"
    assert plain["entities"][1]["confidence"]["status"] == "uncalibrated"


def test_min_score_withholds_a_box_whose_confidence_is_not_known_and_says_so():
    text = "The <p bbox=<loc0128><loc0064><loc0256><loc0512> id=<seg005>>liver</p>."
    shown = fixed(text).report(grey(100, 200))
    assert shown.entities[0].box is not None and not shown.warnings
    made = fixed(text).report(grey(100, 200), min_score=0.5)  # It has no confidence of places.
    assert made.entities[0].box is None and made.entities[0].withheld
    assert any("the box of 'liver' is withheld: its confidence is not known" in w
               for w in made.warnings)  # fmt: skip


def test_a_function_of_the_user_refuses_what_it_cannot_do():
    ask = Ask(grey(20, 30), max_new_tokens=8)
    asks = [dataclasses.replace(ask, timeout=-1.0), dataclasses.replace(ask, temperature=0.5), ask]
    late, warm, plain = fixed("short").ask(asks, errors="return")
    assert isinstance(late, TimeoutError) and plain.text == "short"
    assert isinstance(warm, ValueError) and "leave the temperature out" in str(warm)
    with pytest.raises(ValueError, match="alternatives"):
        fixed("short", alternatives=2)


def test_a_function_of_the_user_answers_no_request_that_was_cancelled_early():
    model, inbox = fixed("short"), Inbox()
    for _ in range(3):
        inbox.put(model.prepare(Ask(grey(20, 30), max_new_tokens=8)).request)
    inbox.close()
    inbox.cancel(2)
    answers = model.queue(1, 8)(inbox)
    assert [a.status for a in answers] == ["done", "done", "cancelled"]


def test_questions_of_an_iterator_may_have_more_tokens_than_the_usual_queue(monkeypatch):
    model = radgrounders.build(None, {}, tokenizers.load("tiny"))
    sizes, image, most = [], grey(20, 30), 300

    def queue(rows, max_new_tokens):  # No queue of this size is compiled for the test.
        sizes.append(max_new_tokens)
        return functools.partial(feed.one_by_one, radgrounders.always("short"), {}, "boxes")

    monkeypatch.setattr(model, "queue", queue)
    ask = Ask(image, max_new_tokens=most)
    given = [
        model.report(iter([image]), max_new_tokens=most),
        model.ask(iter([ask]), max_new_tokens=most),
        model.ask([ask]),
    ]
    assert [next(found).text for found in given] == ["short"] * 3 and sizes == [most] * 3
    with pytest.raises(ValueError, match="give the questions as a list, or max_new_tokens"):
        next(model.ask(iter([ask])))


def test_a_single_row_draws_no_more_questions_than_it_needs():
    drawn = []
    asks = (drawn.append(i) or Ask(grey(20, 30), max_new_tokens=8) for i in range(100))
    next(fixed("short", rows=1).ask(asks))
    assert len(drawn) < 10


def test_an_error_ends_the_thread_that_reads_ahead(model):
    before = threading.active_count()
    asks = itertools.chain([Ask(CT, task="vqa")], itertools.repeat(Ask(CT, max_new_tokens=3)))
    with pytest.raises(ValueError) as error:
        list(model.ask(asks))
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "question is empty" in str(error.value)  # The error still holds on to its frames.
    assert threading.active_count() <= before


def test_a_second_process_compiles_nothing(model, run_dir):
    model.report(CT, max_new_tokens=4)  # The tests keep compiled programs in a folder of theirs.
    code = (
        "import jax\n"
        "events = []\n"
        "jax.monitoring.register_event_listener(lambda name, **kw: events.append(name))\n"
        "from big_rad.predict import RadGrounder\n"
        f"model = RadGrounder.load({str(run_dir)!r}, rows=4, alternatives=2)\n"
        f"print(repr(model.report({CT!r}, max_new_tokens=4).raw))\n"
        "for name in ('misses', 'hits'):\n"
        "    print(events.count(f'/jax/compilation_cache/cache_{name}'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    raw, misses, hits = done.stdout.splitlines()
    assert raw == repr(model.report(CT, max_new_tokens=4).raw)
    assert int(misses) == 0 and int(hits) > 3


def test_compiled_programs_are_kept_where_the_caller_says(run_dir, monkeypatch):
    kept = []
    monkeypatch.setattr(radgrounder.runtime, "use_compilation_cache", kept.append)
    predict.RadGrounder.load(run_dir)
    predict.RadGrounder.load(run_dir, compilation_cache="")
    assert kept == [radgrounder.runtime.COMPILATION_CACHE, ""]


@pytest.mark.slow
def test_eight_devices_write_the_tokens_of_one(run_dir, on_eight_devices):
    code = f"""
        import json, sys
        import jax
        from big_rad import sharding
        from big_rad.predict import Ask, RadGrounder
        from tests.helpers.radgrounders import grey

        asks = [Ask(grey(20 + i, 30), max_new_tokens=6, temperature=float(i % 2), seed=i)
                for i in range(11)]
        mesh = sharding.make_mesh([("data", 8)])
        found = []
        for split in (None, sharding.batch_sharding(mesh)):
            model = RadGrounder.load({str(run_dir)!r}, rows=8, sharding=split)
            found.append([(p.raw, round(p.logprob, 3)) for p in model.ask(asks)])
        print(jax.device_count(), found[0] == found[1], len(set(found[0])))
    """
    count, equal, several = on_eight_devices(code).split()
    assert (count, equal) == ("8", "True") and int(several) > 3
