"""The state of a run, read from its directory."""

import pytest

from big_rad.models import counts
from big_rad.workdir import state as run_state
from tests.helpers import made_run
from tests.helpers.made_run import line, start


@pytest.mark.parametrize("exists", [True, False])
def test_a_directory_that_is_no_run_is_named_with_what_to_give(tmp_path, exists):
    folder = tmp_path / "pictures"
    if exists:
        folder.mkdir()
        (folder / "summary.txt").write_text("a", encoding="utf-8")
    what = "has none of run.json, config.json" if exists else "does not exist"
    with pytest.raises(ValueError, match=rf"pictures is no run directory: it {what}.*--workdir"):
        run_state.read(folder)


def test_a_run_is_finished_when_the_steps_that_were_asked_for_are_evaluated(tmp_path):
    assert run_state.read(made_run.whole(tmp_path)).finished
    # The run in the same directory is started again with more steps.
    run = run_state.read(made_run.write(tmp_path, starts=[start(0), start(12, total=24)]))
    assert (run.step, run.total_steps, run.finished) == (12, 24, False)


def test_a_run_that_died_is_at_its_last_line_and_a_half_line_is_none(tmp_path):
    made_run.write(tmp_path, lines=[line(1), line(4)], starts=[start()])
    with (tmp_path / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 8, "training_lo')
    run = run_state.read(tmp_path)
    assert (run.step, run.total_steps, run.finished) == (4, 12, False)
    assert run.seconds == 12.0


def test_before_the_first_line_a_run_is_where_it_starts_from(tmp_path):
    run = run_state.read(made_run.write(tmp_path, starts=[start(0), start(6)]))
    assert (run.step, run.seconds, run.step_seconds, run.written) == (6, None, None, None)


def test_a_run_older_than_run_json_tells_what_it_can(tmp_path):
    run = run_state.read(made_run.whole(tmp_path, starts=()))
    assert run.finished and run.total_steps == 12 and run.hardware == {}


def test_results_are_of_the_last_evaluation_of_each(tmp_path):
    extra = {"step": 12, "vqa/f1": 0.625}
    rows = [made_run.evaluation(4, 0.25) | {"report/old": 1}, made_run.evaluation(8, 0.5)]
    run = run_state.read(made_run.write(tmp_path, lines=[line(1), *rows, extra]))
    results, steps = run.results()
    assert results["report"] == {"g_iou": 0.5, "n": 5}
    assert results["vqa"] == {"f1": 0.625}
    assert steps == {"report": 8, "report_blank": 8, "vqa": 12}


def test_of_a_finished_run_that_was_evaluated_again_the_second_counts(tmp_path):
    again = {"step": 12, "report/g_iou": 0.25}
    run = run_state.read(made_run.write(tmp_path, lines=[made_run.evaluation(12, 0.5), again]))
    assert run.results()[0]["report"] == {"g_iou": 0.25}


def test_time_in_steps_is_that_of_the_logged_rates(tmp_path):
    lines = [line(1, examples_per_second=0.5), line(5, examples_per_second=2.0)]
    run = run_state.read(made_run.write(tmp_path, lines=lines, config=made_run.config()))
    assert run.step_seconds == 4 / 0.5 + 4 * 4 / 2.0


def test_a_pause_now_and_then_does_not_change_the_rate():
    rows = [line(i + 1, examples_per_second=0.1 if i % 7 == 3 else 8.0) for i in range(60)]
    rows += [line(61, examples_per_second=None)]
    assert run_state.lately(rows, "examples_per_second") == 8.0
    assert run_state.lately(rows, "nothing") is None


def test_what_every_process_left_out_is_counted(tmp_path):
    files = {"rejects.jsonl": [{"step": 1}], "rejects.1.jsonl": [{"step": 1}, {"step": 2}]}
    run = run_state.read(made_run.write(tmp_path, starts=[start()], files=files))
    assert len(run.rejects) == 3


@pytest.mark.parametrize("name", ["config.json", "summary.json", "run.json"])
def test_a_broken_file_is_named(tmp_path, name):
    made_run.whole(tmp_path)
    (tmp_path / name).write_text('{"a":', encoding="utf-8")
    with pytest.raises(ValueError, match=rf"{name} is broken .*remove it"):
        run_state.read(tmp_path)


def utilisation(tmp_path, *starts, **fields):
    return run_state.utilisation(run_state.read(made_run.whole(tmp_path, starts=starts, **fields)))


@pytest.mark.parametrize("tower", [0, 1])
def test_utilisation_is_useful_flops_over_the_peak_of_all_devices(tmp_path, tower):
    lines = [line(12, examples_per_second=200, tokens_per_second=9000, targets_per_second=4000)]
    share, words = utilisation(tmp_path, start(tower=tower), lines=lines)
    llm = made_run.config().model.llm.to_dict() | {"vocab_size": made_run.VOCAB}
    dims = counts.Dims(made_run.config().model.img.to_dict(), llm, 224)
    flops = 200 * counts.useful_example_flops(dims, 25, 20, tower=bool(tower))
    assert share == pytest.approx(flops / (2 * 989e12))
    assert 0.3 < share < 0.7  # A wrong unit would give a value far outside this range.
    assert words == f"2 x {made_run.H100} at 989 TFLOP/s (dense bfloat16)"


@pytest.mark.parametrize("texts, flops", [(1, 0.2735e12), (3, 0.2735e12 + 2 * 0.0532e12)])
def test_utilisation_of_two_towers_counts_padding_all_texts_and_three_forward_passes(
    tmp_path, texts, flops
):
    dims = dict(width=1152, depth=27, mlp_dim=4304, num_heads=16)
    model = dict(img=dict(dims, patch_size=14), txt=dict(dims, length=64))
    config = made_run.config(model=model)
    targets = texts * 64 * 900
    lines = [line(12, examples_per_second=900, tokens_per_second=9, targets_per_second=targets)]
    whole = {"img": (4, 4), "txt": (7, 7)}
    share, words = utilisation(tmp_path, start(parameters=whole), lines=lines, config=config)
    assert share == pytest.approx(3 * 900 * flops / (2 * 989e12), rel=2e-3)
    assert words.startswith("2 x ")
    part = {"img": (4, 4), "txt": (7, 0)}
    share, words = utilisation(
        tmp_path / "part", start(parameters=part), lines=lines, config=config
    )
    assert share is None and "only parts are trained" in words


@pytest.mark.parametrize(
    "starts, fields, why",
    [
        ((), {}, "does not say on what it ran"),
        ((start(kind="cpu"),), {}, "no peak rate is known of 'cpu'"),
        ((start(lora=True),), {}, "only parts are trained"),
        ((start(tower=0.5),), {}, "only parts are trained"),
        ((start(parameters={}),), {}, "only parts are trained"),
        ((start(),), {"config": made_run.config(model={"img": {"variant": "B"}})}, "this kind of"),
        ((start(),), {"lines": [made_run.evaluation(1, 0.5)]}, "no rates are logged"),
        ((start(),), {"lines": [line(1, tokens_per_second=None)]}, "no rates are logged"),
    ],
)
def test_utilisation_that_cannot_be_known_is_not_invented(tmp_path, starts, fields, why):
    share, words = utilisation(tmp_path, *starts, **fields)
    assert share is None and why in words
