"""A group's own data, from files to scores before and after: 200 phantom slices as a folder."""

import json
import re

import jax
import numpy as np
import pytest

from big_rad import config_check, finetune, models, predict, train, trees
from big_rad.config import recipes as config_lib
from big_rad.datasets import core, prepare
from big_rad.evaluators import before_after
from big_rad.inference import inputs
from big_rad.metrics import bootstrap
from big_rad.pp import builder as pp_builder
from big_rad.pp import tokenizer as tokenizers
from big_rad.training import memory, state
from big_rad.workdir import checkpoint, run_dir
from configs import finetune as recipe
from tests.helpers import finetuning, foreign, tiny_run
from tests.helpers.folder_records import save_dicom
from tools import convert

SLICES = 200


def boxes_of(segmap):
    for class_id in np.unique(segmap[segmap > 0]):
        y, x = np.nonzero(segmap == class_id)
        yield [int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1, int(class_id)]


def lines_of(example, image):
    """Lines of data.jsonl for a slice: its reports, then its questions."""
    shared = {"id": example["id"], "patient": example["patient"], "image": image, "modality": "CT"}
    first = {"boxes": list(boxes_of(example["segmap"])), "plane": "axial"}
    for text in example["texts"]:
        line = dict(shared, language=text["lang"])
        if text["task"] == "report":
            line |= {"report": text["sentence"]}
            line |= {"keywords": text["keywords"]} if text["keywords"] else {}
        elif text["task"] == "vqa" and text["question_type"] == "open":
            line |= {"question": text["question"], "answer": text["answer"]}
        else:
            continue
        yield line | first
        first = {}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The folder, its slices taken from the phantom's own records."""
    folder = tmp_path_factory.mktemp("own")
    from big_rad.datasets.phantom import builder

    built = tmp_path_factory.mktemp("phantom")
    builder.build("demo", built, workers=1, train=SLICES, validation=2, test=2)
    lines = []
    for i, example in enumerate(core.load_source("phantom", "train", built, config="demo")):
        example = core.unpacked(example)
        np.save(folder / f"s{i}.npy", example["image"])
        lines += lines_of(example, f"s{i}.npy")
    text = "".join(json.dumps(x, ensure_ascii=False) + "\n" for x in lines)
    (folder / "data.jsonl").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def init(tmp_path_factory):
    """A run of a tiny model to start from, whose config predates the text settings."""
    data = tiny_run.build_data(tmp_path_factory.mktemp("data"))
    config = tiny_run.config(data, evals={}, summary={})
    del config.text
    train.train(config, data / "run", str(data))
    return data / "run"


@pytest.fixture(scope="module")
def folder(init, tmp_path_factory):
    """The same model as a Hugging Face folder."""
    place = tmp_path_factory.mktemp("folder") / "hf"
    convert.convert(init, place, allow_other_mask=True, log=lambda line: None)
    return place


def finetune_best(workdir):
    return json.loads((workdir / "config.json").read_text())["ckpt_best"]


def command(source, init, workdir, *args, **arg):
    arg = dict(source=source, init=init, epochs=2, batch=20, limit=6) | arg
    spec = ",".join(f"{k}={v}" for k, v in arg.items())
    config = f"--config={tiny_run.ROOT / 'configs' / 'finetune.py'}:{spec}"
    short = [
        f"--config.evals.{n}.max_new_tokens=6" for n in ("report", "report_val", "vqa", "vqa_val")
    ]
    places = [f"--workdir={workdir}", f"--data_dir={workdir}/data", "--config.lr=0.005"]
    return [*tiny_run.command(source, workdir)[:3], config, *places, *short, *args]


@pytest.fixture(scope="module")
def run(source, folder, tmp_path_factory):
    """A whole fine-tuning of a Hugging Face folder: the run and what it printed."""
    workdir = tmp_path_factory.mktemp("run")
    # Large foreign models compute in bfloat16, which a CPU does slowly.
    quick = [f"--config.model.{tower}.dtype_mm=float32" for tower in ("img", "llm")]
    quick += ["--config.model.llm.remat_policy=none"]
    done = tiny_run.run(command(source, folder, workdir, *quick, card=24))
    assert done.returncode == 0, done.stderr
    return workdir, done.stdout


def test_the_recipe_groups_patients_as_the_build_does(tmp_path):
    # By the lines of data.jsonl these would be 40 patients; the DICOM files say it is one patient.
    lines = []
    for n in range(40):
        save_dicom(tmp_path / f"s{n}.dcm", np.full((8, 8), n, np.int16), PatientID="P")
        lines.append({"id": f"s{n}", "image": f"s{n}.dcm", "report": "Liver."})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "data.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="data.jsonl: no patient in .* and "):
        finetuning.config(f"source={tmp_path},init={tmp_path / 'nothing'}")


@pytest.mark.parametrize("patients, said", [(5, True), (6, False)])
def test_too_few_test_patients_are_said_before_anything_is_trained(
    tmp_path, capsys, patients, said
):
    names = [*(f"t{n}" for n in range(patients)), "a"]
    lines = [
        {"id": n, "patient": n, "image": f"{n}.png", "modality": "OT", "report": "Liver.",
         "split": "test" if n[0] == "t" else "train"}
        for n in names
    ]  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "data.jsonl").write_text(text, encoding="utf-8")
    # No image is opened before the error that the checkpoint "nothing" does not exist.
    with pytest.raises(Exception, match="nothing"):
        finetuning.config(f"source={tmp_path},init={tmp_path / 'nothing'}")
    assert ("patients in the test split: 5; fewer than 6" in capsys.readouterr().out) == said


def test_the_recipe_reads_nothing_and_its_fitting_reads_everything():
    config = recipe.get_config("source=nowhere,init=nothing")
    with pytest.raises(ValueError, match="data.jsonl"):
        finetune.fit(config)


def test_no_patient_is_on_both_sides(run, source):
    workdir, out = run
    seen = {
        split: {e["patient"] for e in core.load_source("folder", split, workdir / "data")}
        for split in ("train", "validation", "test")
    }
    assert all(seen.values())
    assert sum(map(len, seen.values())) == len(set.union(*seen.values()))
    assert "patients without a split were drawn" in out


def test_the_memory_is_predicted_and_printed(run):
    assert re.search(r"memory: \d+\.\d GiB predicted, of 22\.1 usable", run[1])


def test_scores_before_and_after_come_with_intervals_of_the_test_patients(run):
    workdir, out = run
    rows = {
        (r["eval"], r["score"]): r for r in json.loads((workdir / before_after.FILE).read_text())
    }
    for key in (("report", "report_f1"), ("report", "g_iou"), ("vqa", "f1")):
        for side in ("before", "after", "difference"):
            found = rows[key][side]
            assert found["n"] > 0
            if side == "difference" and found["clusters"] < bootstrap.FEWEST:
                assert found["low"] is None and found["high"] is None
            else:
                assert found["low"] <= found["mean"] <= found["high"]
    metrics = [json.loads(x) for x in (workdir / "metrics.jsonl").read_text().splitlines()]
    first = next(r for r in metrics if r["step"] == 0)
    last = [r for r in metrics if "report/report_f1" in r][-1]
    for side, line in (("before", first), ("after", last)):
        assert rows["report", "report_f1"][side]["mean"] == pytest.approx(line["report/report_f1"])
        assert rows["vqa", "f1"][side]["mean"] == pytest.approx(line["vqa/f1"])
    assert "| Grounded reports: text F1 |" in out
    page = (workdir / "report.html").read_text(encoding="utf-8")
    assert "Before and after" in page and f"{rows['vqa', 'f1']['after']['mean']:.3f} (" in page


def test_training_on_own_data_teaches_its_words(run):
    # The starting model has seen six steps; two passes over 200 slices must help with the text.
    losses = [
        json.loads(x).get("training_loss")
        for x in (run[0] / "metrics.jsonl").read_text().splitlines()
    ]
    losses = [x for x in losses if x]
    assert np.mean(losses[-3:]) < 0.9 * losses[0]


def test_the_best_checkpoint_on_validation_stays_and_can_be_run(run, source):
    workdir, _ = run
    summary = json.loads((workdir / "summary.json").read_text())
    assert str(summary["best_step"]) in {p.name for p in (workdir / "checkpoints").iterdir()}
    said = []
    model = predict.RadGrounder.load(workdir, log=said.append)
    assert f"step {summary['best_step']}, the best by report_val/" in said[0]
    image = inputs.read(source / "s0.npy", modality="CT")
    answer = model.answer(image, "Which organ takes up most of the slice?")
    assert isinstance(answer.text, str)


@pytest.mark.parametrize("kind, height, sets", foreign.PLACES)
def test_a_foreign_checkpoint_of_any_height_is_a_start(
    kind, height, sets, source, tmp_path, capsys
):
    place = foreign.write(tmp_path / "model", kind, height, sets)
    config = finetuning.config(f"source={source},init={place}")
    assert "vocab_size" not in config.model.llm
    tokenizer = tokenizers.load(config.tokenizer.path, tuple(config.tokenizer.sets))
    model = models.make(config.model_name, config.model, tokenizer.padded_vocab_size)
    shapes = models.init_shapes(model, config)
    place_on = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    target = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place_on), shapes
    )
    params = state.initial_params(config, None, target, None, tokenizer, print)
    table, want = foreign.table(params), foreign.table(foreign.params(height))
    assert table.shape == (foreign.PADDED, 16)
    np.testing.assert_array_equal(table[:height], want[: foreign.PADDED])
    untrained = foreign.untrained(kind, height, sets)
    said = capsys.readouterr().out
    assert (", ".join(untrained) in said) and ("no trained row" in said) == bool(untrained)
    assert ("stand for no token" in said) == (height > foreign.PADDED)


def test_the_chosen_step_is_the_one_that_is_reported_and_named(run):
    workdir, out = run
    summary = json.loads((workdir / "summary.json").read_text())
    step = summary["best_step"]
    assert step == summary["reported_step"] == run_dir.locate(workdir).step < summary["steps"]
    score = finetune_best(workdir)
    assert f"step {step} is reported, the best by {score}" in out
    assert f"the last is step {summary['steps']}" in out
    # At the last step only the evaluators that choose the best step are run; all evaluators are run
    # at the chosen step.
    rows = run_dir.read_lines(workdir / "metrics.jsonl")
    last = [r for r in rows if r["step"] == summary["steps"]]
    assert not any(k.startswith(("report/", "vqa/")) for r in last for k in r)
    assert any(score in r for r in last)
    assert rows[-1]["step"] == step and {score, "report/g_iou", "vqa/f1"} <= rows[-1].keys()
    assert summary["g_iou"] == rows[-1]["report/g_iou"]
    assert f"after step {step}" in out
    page = (workdir / "report.html").read_text(encoding="utf-8")
    assert f"after step {step}" in page and f"step {step}, n = " in page
    assert f"step {summary['steps']}, n = " not in page


def test_the_table_has_the_main_result_first_and_validation_apart(run):
    lines = run[1].splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("| | before | after"))
    assert lines[head + 2].startswith("| Grounded reports: G-IoU | ")
    apart = next(i for i, line in enumerate(lines) if line.startswith("Validation patients"))
    test, validation = lines[head + 2 : apart], lines[apart:]
    assert not any("validation: " in line for line in test)
    assert any("Grounded reports, validation: G-IoU" in line for line in validation)
    assert not [line for line in lines if line.startswith("|") and "\u2013" in line]


def test_the_next_commands_are_printed_as_they_can_be_pasted(run):
    workdir, out = run
    run_option = f"--checkpoint={workdir}"
    assert f"python -m big_rad.evaluate {run_option} --data_dir={workdir}/data --controls" in out
    assert f"python -m big_rad.predict {run_option} IMAGE.dcm" in out


def test_adapters_leave_the_starting_model_as_it_was(source, init, tmp_path):
    arg = f"source={source},init={init},lora=2,limit=2,epochs=0.5,batch=20"
    config = finetuning.config(arg)
    config.lr, config.evals, config.summary = 0.005, {}, {}
    config.eval_before, config.ckpt_best = False, ""
    train.train(config, tmp_path, str(tmp_path / "data"))
    before, after = (trees.flatten(checkpoint.load_params(d)[0]) for d in (init, tmp_path))
    assert {n.split("/")[0] for n in after.keys() - before.keys()} == {"lora"}
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, err_msg=name)
    assert any(np.abs(after[n]).max() > 0 for n in after if n.endswith("/b"))


def test_a_small_card_gets_microbatches_then_adapters_then_an_error(source, init):
    arg = f"source={source},init={init},batch=20"
    whole = finetuning.config(f"{arg},lora=0")
    vocab = 2048
    peak = memory.predict(whole, vocab).peak
    changed = finetuning.config(f"{arg},card={0.7 * peak / memory.USABLE}")
    assert changed.grad_accum > 1
    with pytest.raises(ValueError, match="nothing fits a card"):
        finetuning.config(f"{arg},card=0.001")


def test_the_config_survives_json(source, init):
    config = finetuning.config(f"source={source},init={init}")
    text = config_lib.to_json(config)
    assert config_lib.to_json(config_lib.from_json(text)) == text


def test_folders_of_two_names_lie_side_by_side_and_each_is_the_one_that_is_used(
    source, init, tmp_path
):
    rows = [json.loads(x) for x in (source / "data.jsonl").read_text(encoding="utf-8").splitlines()]
    ids = list(dict.fromkeys(r["id"] for r in rows))[:6]
    splits = dict(zip(ids, ["train", "validation", "test"] * 2))
    for name, kept in (("north", ids[:3]), ("south-2", ids[3:])):
        mine = [dict(r, split=splits[r["id"]]) for r in rows if r["id"] in kept]
        text = "".join(json.dumps(r) + "\n" for r in mine)
        (source / f"{name}.jsonl").write_text(text, encoding="utf-8")
        config = finetuning.config(f"source={source}/{name}.jsonl,folder={name},init={init}")
        prepare.prepare(config.sources, tmp_path, lambda line: None)
        entries = [config.input.folder, *config.evals.values()]
        assert len(entries) == 6
        for entry in entries:
            found = {e["id"] for e in core.load_source("folder", entry.split, tmp_path,
                                                       **entry.builder_args)}  # fmt: skip
            assert found == {i for i in kept if splits[i] == entry.split}
    with pytest.raises(FileNotFoundError, match="it has north, south-2.*folder=north"):
        core.load_source("folder", "train", tmp_path)


SEEN = {"boxes": [[0, 0, 9, 9, "liver"]], "report": "The liver is normal."}
PLAIN, MASK = {"report": "Normal."}, {"mask": "map.npy"}
UNTOLD = {"boxes": [[0, 0, 9, 9, "liver"]]}  # an image without a text
UNNAMED = {"boxes": [[0, 0, 9, 9, "liver"]], "report": "Normal."}


def write_slices(folder, **lines):
    """Writes a folder with two slices per split; `lines` are their fields in data.jsonl.

    "mask" stands for a label map of class 5."""
    rows = []
    for split in ("train", "validation", "test"):
        for k in range(2):
            name = f"{split}{k}"
            np.save(folder / f"{name}.npy", np.zeros((28, 28), np.int16))
            np.save(folder / "map.npy", np.full((28, 28), 5, np.uint8))
            row = {"id": name, "image": f"{name}.npy", "modality": "CT", "split": split}
            rows.append(row | lines[split])
    (folder / "data.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return folder


def test_a_model_with_masks_on_boxes_says_so_before_training_and_has_a_best_checkpoint(tmp_path):
    source = write_slices(tmp_path, train=SEEN, validation=SEEN, test=SEEN)
    init = tiny_run.mask_checkpoint(tmp_path / "init")
    config = finetuning.config(f"source={source},init={init},batch=2")
    config.sources.folder.workers, said = 1, []
    with pytest.raises(tiny_run.Said):
        log = tiny_run.until("folder test: 0 of 2 images have a mask; boxes are not used", said)
        train.train(config, tmp_path / "run", str(tmp_path / "data"), log=log)
    assert [s for s in said if "folder train: 0 of 2 images have a mask; boxes are not used" in s]
    assert not [s for s in said if s.startswith("step ")]
    assert config.ckpt_best == "report_val/report_f1"
    assert config.summary.to_dict() == {"report_f1": "report/report_f1"}
    config.evals.later = dict(config.evals.report, split="gone")
    with pytest.raises(ValueError, match="config.evals.later: .*no split 'gone'"):
        train.train(config, tmp_path / "again", str(tmp_path / "data"), log=print)


@pytest.mark.parametrize(
    "lines, masks, best, summary",
    [
        (dict(train=SEEN, validation=SEEN, test=SEEN), False, "g_iou", "g_iou"),
        (dict(train=SEEN, validation=UNNAMED, test=SEEN), False, "report_f1", "g_iou"),
        (dict(train=SEEN, validation=PLAIN, test=SEEN), False, "report_f1", "g_iou"),
        (dict(train=SEEN, validation=SEEN | MASK, test=SEEN), True, "g_iou", "report_f1"),
        (dict(train=SEEN, validation=PLAIN | MASK, test=SEEN), True, "report_f1", "report_f1"),
    ],
)
def test_the_best_checkpoint_is_chosen_by_a_score_that_the_validation_split_has(
    init, tmp_path, lines, masks, best, summary
):
    source = write_slices(tmp_path, **lines)
    start = tiny_run.mask_checkpoint(tmp_path / "init") if masks else init
    config = finetuning.config(f"source={source},init={start},batch=2")
    assert config.ckpt_best == f"report_val/{best}"
    assert config.summary.to_dict() == {summary: f"report/{summary}"}


ASKED = {"question": "Is the liver normal?", "answer": "yes", "question_type": "yesno"}
BOTH = SEEN | ASKED


@pytest.mark.parametrize(
    "train, validation, test, evals, best, said",
    [
        (BOTH, SEEN, BOTH, "report report_val vqa", "report_val/g_iou",
         ["vqa_val: left out, no question of a validation patient"]),
        (BOTH, ASKED, PLAIN, "report vqa_val", "vqa_val/f1",
         ["report_val: left out, no report of a validation patient",
          "vqa: left out, no question of a test patient"]),
        (BOTH, BOTH, ASKED, "vqa report_val vqa_val", "report_val/g_iou",
         ["report: left out, no report of a test patient"]),
        (PLAIN, PLAIN, BOTH, "report report_val vqa", "report_val/report_f1",
         ["vqa_val: left out", "vqa: is evaluated and not trained, no question of a train"]),
        (ASKED, UNTOLD, ASKED, "vqa", "",
         ['no best checkpoint is chosen', 'write "split": "validation" into all lines']),
        (ASKED, ASKED, ASKED, "vqa vqa_val", "vqa_val/f1", []),
    ],
)  # fmt: skip
def test_a_task_that_a_held_out_split_lacks_is_left_out_by_name(
    init, tmp_path, capsys, train, validation, test, evals, best, said
):
    source = write_slices(tmp_path, train=train, validation=validation, test=test)
    capsys.readouterr()
    config = finetuning.config(f"source={source},init={init},batch=2")
    out = capsys.readouterr().out
    losses = {"xent"} if validation is not UNTOLD else set()
    assert set(config.evals) == set(evals.split()) | losses
    assert config.get("ckpt_best", "") == best
    assert all(text in out for text in said) and out.count("left out") == sum(
        "left out" in text for text in said
    )
    # The other settings fit, and every evaluator has texts in its split.
    config_check.check(config)
    asked = {n: (e.split, e.expand.task) for n, e in config.evals.items() if n != "xent"}
    texts = {"train": train, "validation": validation, "test": test}
    fields = {"report": "report", "vqa": "question"}
    assert all(fields[task] in texts[split] for split, task in asked.values())
    if losses:  # The loss covers all tasks of the validation patients, also untrained ones.
        (tasks,) = [x["tasks"] for _, x in pp_builder.calls(config.evals.xent.pp, only=("prompt",))]
        assert set(tasks.split(",")) == {task for task in fields if fields[task] in validation}


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_without_any_text_that_is_needed_is_refused(init, tmp_path, split):
    lines = dict.fromkeys(("train", "validation", "test"), ASKED) | {split: UNTOLD}
    source = write_slices(tmp_path, **lines)
    with pytest.raises(ValueError, match=f"no report and no question in {split}; .*validate_data"):
        finetuning.config(f"source={source},init={init}")


@pytest.mark.parametrize(
    "arg, message",
    [
        ("source={source},init={init},folder=a/b", "'a/b' cannot be the name of a folder"),
        ("init={init}", "source=PATH"),
        ("source={source}", "init=PATH"),
        ("source=nowhere,init={init}", "data.jsonl"),
        ("source={source},init=nowhere", "nowhere"),
    ],
)
def test_what_is_missing_is_named(source, init, arg, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        finetuning.config(arg.format(source=source, init=init))


def test_a_source_whose_patients_are_all_in_one_split_is_refused(source, init, tmp_path):
    lines = (source / "data.jsonl").read_text(encoding="utf-8").splitlines()[:8]
    rows = [json.dumps(json.loads(x) | {"split": "train"}) + "\n" for x in lines]
    (tmp_path / "data.jsonl").write_text("".join(rows))
    with pytest.raises(ValueError, match="no patient in validation and test"):
        finetuning.config(f"source={tmp_path},init={init}")
