"""The command `predict`: its output, the files it writes, and its errors."""

import functools
import json
import shutil
import sys
import weakref

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from big_rad import predict
from big_rad.inference import feed
from big_rad.pp import tokenizer as tokenizers
from big_rad.workdir import checkpoint
from tests.helpers import foreign, radgrounders, tiny_run
from tests.helpers.radgrounders import SIZE, always, prompt_of, rectangle, with_masks


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return radgrounders.write_run(tmp_path_factory.mktemp("run"))


def run_command(capsys, *args):
    code = predict.main([str(a) for a in args])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm"])
def test_the_command_writes_json_and_overlay(run_dir, tmp_path, capsys, name):
    image = get_testdata_file(name)
    code, out, err = run_command(
        capsys, f"--checkpoint={run_dir}", image, f"--out={tmp_path}", "--max_new_tokens=8"
    )
    assert code == 0, err
    stem = name.removesuffix(".dcm")
    plain = json.loads((tmp_path / f"{stem}.json").read_text(encoding="utf-8"))
    assert plain == json.loads(out)
    assert list(plain) == [
        "file", "task", "lang", "modality", "plane", "width", "height", "orientation",
        "text", "entities", "confidence", "answer_score", "answer_score_status", "logprob",
        "tokens", "changed_tokens", "warnings", "note",
    ]  # fmt: skip
    assert "not for diagnostic use" in plain["note"]
    with Image.open(tmp_path / f"{stem}_overlay.png") as picture:
        assert max(picture.size) >= 448


def test_the_command_writes_masks_as_one_array_and_as_pictures_of_one_bit(
    run_dir, tmp_path, capsys, monkeypatch
):
    logits = [rectangle(7, 14, 14, 28), np.full((SIZE, SIZE), -2.0)]
    model = with_masks("<seg>liver</seg> <seg>spleen</seg> <seg>kidney</seg>", logits)
    monkeypatch.setattr(predict.RadGrounder, "load", lambda _: model)
    image, out = get_testdata_file("CT_small.dcm"), tmp_path / "out"
    code, text, err = run_command(
        capsys, f"--checkpoint={run_dir}", image, "--ground=masks", f"--out={out}"
    )
    assert code == 0, err
    plain = json.loads((out / "CT_small.json").read_text(encoding="utf-8"))
    assert plain == json.loads(text)
    masks = np.load(out / plain["masks"])
    assert masks.shape == (3, plain["height"], plain["width"]) and masks.dtype == bool
    for i, (entity, mask) in enumerate(zip(plain["entities"], masks, strict=True)):
        with Image.open(out / entity["mask"]) as picture:
            assert picture.mode == "1" and (np.asarray(picture) == mask).all()
        assert entity.get("mask_pixels", 0) == mask.sum()
        assert ("mask_pixels" in entity) == (i < 2)  # The model made no mask of the third entity.
    assert masks[0].any() and not masks[1:].any()
    with Image.open(out / "CT_small_overlay.png") as picture:
        colours = np.asarray(picture).astype(int)
    assert (np.ptp(colours, axis=-1) > 30).mean() > 0.02  # The mask is drawn in colour.


def test_the_command_does_not_overwrite_its_input(run_dir, tmp_path, capsys):
    for name in ("a.png", "a_overlay.png"):
        Image.fromarray(np.full((20, 30, 3), 99, np.uint8)).save(tmp_path / name)
    before = (tmp_path / "a_overlay.png").read_bytes()
    images = [tmp_path / "a.png", tmp_path / "a_overlay.png"]
    code, _, err = run_command(capsys, f"--checkpoint={run_dir}", *images, f"--out={tmp_path}")
    assert code == 2 and "a_overlay.png would be overwritten" in err and "--out" in err
    assert (tmp_path / "a_overlay.png").read_bytes() == before


def test_the_outputs_hold_no_identity(run_dir, tmp_path, capsys):
    ds = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    ds.PatientName, ds.PatientID, ds.AccessionNumber = "Zzyzx^Quuxbert", "PID-55512", "ACC-77123"
    path = tmp_path / "anonymous.dcm"
    ds.save_as(path)
    code, out, err = run_command(
        capsys, f"--checkpoint={run_dir}", path, f"--out={tmp_path / 'o'}", "--max_new_tokens=4"
    )
    assert code == 0
    written = b"".join(p.read_bytes() for p in (tmp_path / "o").iterdir()).decode("latin1")
    for secret in ("Zzyzx", "Quuxbert", "PID-55512", "ACC-77123", str(ds.SOPInstanceUID)):
        assert secret not in out + err + written


def test_the_command_takes_several_images_of_the_same_name(run_dir, tmp_path, capsys):
    for folder in "ab":
        (tmp_path / folder).mkdir()
        Image.fromarray(np.full((20, 30, 3), 99, np.uint8)).save(tmp_path / folder / "x.png")
    code, _, err = run_command(
        capsys,
        f"--checkpoint={run_dir}",
        tmp_path / "a/x.png",
        tmp_path / "b/x.png",
        f"--out={tmp_path / 'out'}",
        "--task=vqa",
        "--question=What is it?",
        "--max_new_tokens=4",
    )
    assert code == 0, err
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {"x.json", "x_overlay.png", "x_2.json", "x_2_overlay.png"}


def test_the_command_prints_a_line_an_image_for_several(run_dir, capsys):
    files = [str(get_testdata_file(n)) for n in ("CT_small.dcm", "MR_small.dcm")]
    code, out, _ = run_command(capsys, f"--checkpoint={run_dir}", "--max_new_tokens=3", *files)
    assert code == 0
    assert [json.loads(line)["modality"] for line in out.splitlines()] == ["CT", "MR"]


def made_up(monkeypatch, model):
    """Lets every file be a grey slice, and gives the command this model; returns the slices."""
    made = []

    def read(path, **_):
        image = radgrounders.grey(20, 30)
        made.append(weakref.ref(image))
        return image

    monkeypatch.setattr(predict.jobs.inputs, "read", read)
    monkeypatch.setattr(predict.RadGrounder, "load", lambda _: model)
    return made


def test_the_command_keeps_no_image_that_it_has_answered(capsys, monkeypatch):
    write, most = always("short"), []

    def answer_batch(*args, **options):
        most.append(sum(ref() is not None for ref in made))
        return write(*args, **options)

    tokenizer = tokenizers.load("tiny")
    model = radgrounders.build(None, {}, tokenizer, generate_fn=answer_batch, rows=2)
    made = made_up(monkeypatch, model)
    code, out, _ = run_command(capsys, "--checkpoint=x", *(f"{i}.png" for i in range(40)))
    assert code == 0 and len(out.splitlines()) == len(most) == 40
    assert max(most) < 12


def test_the_limit_of_tokens_may_be_as_long_for_several_images_as_for_one(capsys, monkeypatch):
    model, sizes = radgrounders.build(None, {}, tokenizers.load("tiny")), []

    def queue(rows, max_new_tokens):
        sizes.append(max_new_tokens)
        return functools.partial(feed.one_by_one, always("short"), {}, "boxes")

    monkeypatch.setattr(model, "queue", queue)
    made_up(monkeypatch, model)
    for images in (["a.png"], ["a.png", "b.png"]):
        code, out, err = run_command(capsys, "--checkpoint=x", "--max_new_tokens=300", *images)
        assert code == 0 and len(out.splitlines()) == len(images), err
    assert sizes == [300, 300]


def test_every_error_of_an_answer_names_its_file_once(capsys, monkeypatch):
    made_up(monkeypatch, radgrounders.fixed("short"))
    organs = ["--task=detect", "--organ=liver", "--organ=spleen", "--temperature=0.5"]
    code, out, err = run_command(capsys, "--checkpoint=x", *organs, "a.png", "b/c.png")
    assert code == 2 and not out
    first, second = err.splitlines()
    assert "a.png: temperature is 0.5" in first and "b/c.png: temperature is 0.5" in second


def test_the_command_says_what_a_name_of_several_organs_asks_for(tmp_path, capsys):
    options = [f"--checkpoint={tmp_path}", "--task=detect", f"{tmp_path / 'no.dcm'}"]
    assert predict.main([*options, "--organ=kidneys", "--organ=spleen"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "--organ=kidneys: asked for as right kidney, left kidney"
    assert "spleen" not in "".join(said)


@pytest.mark.parametrize(
    "options, said",
    [
        (["--organ=kidneys"], "--organ belongs to --task=detect, and the task is report"),
        (["--task=detect", "--organ=liver", "--choice=yes"], "--choice belongs to --task=vqa"),
        (["--task=vqa", "--question=Where?", "--clinical=Pain."], "--clinical belongs to --task="),
        (["--task=detect", "--organ=liver", "--question=Where?"], "--organ or --question"),
        (["--task=vqa"], "give --question"),
        (["--top_p=0.5"], "--top_p and --seed are for drawing"),
        (["--task=vqa", "--question=Which?", "--choice=liver"], "--choice has only"),
    ],
)
def test_an_option_that_the_task_does_not_use_is_an_error(tmp_path, capsys, options, said):
    image = str(tmp_path / "no.dcm")
    assert predict.main([f"--checkpoint={tmp_path}", image, *options]) == 2
    assert said in capsys.readouterr().err


def truncated(tmp_path):
    path = tmp_path / "truncated.dcm"
    data = open(get_testdata_file("CT_small.dcm"), "rb").read()
    path.write_bytes(data[: len(data) // 2])
    return path


def text_file(tmp_path):
    path = tmp_path / "text.dcm"
    path.write_text("This is no image.\n" * 50)
    return path


@pytest.mark.parametrize("make", [lambda p: p / "missing.dcm", text_file, truncated])
def test_a_bad_image_is_one_line_with_the_file_and_exit_code_2(run_dir, tmp_path, capsys, make):
    path = make(tmp_path)
    code, out, err = run_command(capsys, f"--checkpoint={run_dir}", path)
    assert code == 2 and out == ""
    assert err.count("\n") == 1 and path.name in err


def test_a_missing_checkpoint_is_one_line_and_exit_code_2(tmp_path, capsys):
    image = get_testdata_file("CT_small.dcm")
    code, out, err = run_command(capsys, f"--checkpoint={tmp_path / 'nowhere'}", image)
    assert code == 2 and out == ""
    assert err.count("\n") == 1 and "nowhere" in err and "--workdir" in err


def test_a_damaged_checkpoint_is_one_line_and_exit_code_2(run_dir, tmp_path, capsys):
    copy = tmp_path / "damaged"
    shutil.copytree(run_dir, copy)
    for path in (copy / "checkpoints/3/state").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    code, _, err = run_command(capsys, f"--checkpoint={copy}", get_testdata_file("CT_small.dcm"))
    assert code == 2 and err.count("\n") == 1 and "damaged" in err


def test_a_question_is_needed_for_vqa(run_dir, capsys):
    image = get_testdata_file("CT_small.dcm")
    code, _, err = run_command(capsys, f"--checkpoint={run_dir}", image, "--task=vqa")
    assert code == 2 and err.count("\n") == 1 and "question" in err


def test_a_run_that_is_not_finite_is_named_by_its_tensor(run_dir, tmp_path, capsys):
    params, meta = checkpoint.load_params(run_dir)
    params["llm"]["final_norm"]["scale"] = np.full(16, np.nan, np.float32)
    radgrounders.save(tmp_path, params, meta)
    code, _, err = run_command(
        capsys, f"--checkpoint={tmp_path}", get_testdata_file("CT_small.dcm")
    )
    assert code == 2 and "llm/final_norm/scale is not finite" in err


# ---- Foreign checkpoints ----


@pytest.fixture
def asked(monkeypatch):
    """The calls of a stand-in for the model that writes a box: (never, params, batch) of each."""
    calls = []
    write = always("<p bbox=<loc0000><loc0000><loc0256><loc0256> id=<seg005>>liver</p>")

    def queue(model, rows, max_new_tokens):
        def answer_batch(params, batch, *, max_new_tokens):
            calls.append((set(model._never), params, batch))
            return write(params, batch, max_new_tokens=max_new_tokens)

        return functools.partial(feed.one_by_one, answer_batch, model._params, model.pointing)

    monkeypatch.setattr(predict.RadGrounder, "queue", queue)
    return calls


@pytest.mark.parametrize("kind, height, sets", foreign.PLACES)
def test_the_command_takes_a_foreign_checkpoint_of_any_height(
    kind, height, sets, tmp_path, asked, capsys
):
    place = foreign.write(tmp_path / "m", kind, height, sets)
    image = get_testdata_file("CT_small.dcm")
    code, out, err = run_command(capsys, f"--checkpoint={place}", image)
    assert code == 0, err
    never, params, batch = asked[-1]
    assert foreign.table(params).shape == (foreign.PADDED, 16)
    points = foreign.points(kind, height, sets)
    assert ("no trained row for" in err) == bool(never)
    # By default a model is asked for boxes only if it was trained to write them.
    assert ("detect keywords" in prompt_of(batch)) == points
    assert bool(json.loads(out)["entities"]) == points
    code, out, err = run_command(
        capsys, f"--checkpoint={place}", image, "--task=detect", "--organ=liver"
    )
    assert code == (0 if points else 2)
    if not points:
        assert out == "" and "was never trained on the tokens of boxes" in err
        code, _, err = run_command(capsys, f"--checkpoint={place}", image, "--ground=boxes")
        assert code == 2 and "was never trained on the tokens of boxes" in err


@pytest.mark.slow
def test_the_command_runs_on_a_folder(tmp_path):
    place = foreign.write_hf(tmp_path / "hf", 3156, ("detection",))
    command = [sys.executable, "-m", "big_rad.predict", f"--checkpoint={place}"]
    command += [get_testdata_file("CT_small.dcm"), "--max_new_tokens=4"]
    done = tiny_run.run(command)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout)["modality"] == "CT"


def test_the_command_says_what_is_wrong_with_a_foreign_checkpoint(tmp_path, capsys):
    image, place = get_testdata_file("CT_small.dcm"), foreign.write_npz(tmp_path / "a", 64)
    code, out, err = run_command(capsys, f"--checkpoint={place}", image)
    assert code == 2 and out == "" and "64 rows" in err
    (tmp_path / "a/paligemma_tokenizer.model").unlink()
    code, out, err = run_command(capsys, f"--checkpoint={place}", image)
    assert code == 2 and out == "" and "no tokenizer file paligemma_tokenizer.model" in err
    (tmp_path / "empty").mkdir()
    code, _, err = run_command(capsys, f"--checkpoint={tmp_path / 'empty'}", image)
    assert code == 2 and err.count("\n") == 1 and "is an empty folder" in err
