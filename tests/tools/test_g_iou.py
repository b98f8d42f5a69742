"""Tests that the G-IoU of records equals that of the texts from which they were made."""

import re

import numpy as np
import pytest

from big_rad.evaluators import samples as sample_files
from big_rad.grounding import codec as codecs
from big_rad.grounding import markup, masks
from big_rad.metrics import grounding
from tests.helpers import judge_server
from tools import g_iou

CODEC = codecs.get_codec("radgrounder")
L, S = "<loc0000><loc0000><loc0200><loc0200>", "<loc0250><loc0250><loc0450><loc0450>"
LIVER, SPLEEN = f"<p bbox={L} id=<seg005>>liver</p>", f"<p bbox={S} id=<seg001>>spleen</p>"
REFERENCES = [f"The {LIVER} and {SPLEEN}.", f"A {SPLEEN}.", "Normal.", f"{LIVER}"]
PREDICTIONS = [f"The {SPLEEN} and {LIVER}.", "Nothing.", f"A {LIVER}.", f"A {LIVER}."]


def entity(e, **more):
    fields = ("phrase", "class_id", "box", "span")
    return {k: getattr(e, k) for k in fields} | {"class_name": "x", "box_pixels": None} | more


def records(references=REFERENCES, predictions=PREDICTIONS):
    made = []
    for i, texts in enumerate(zip(references, predictions)):
        boxes = {
            side: [entity(e) for e in markup.parse(text, CODEC).entities]
            for side, text in zip(("reference", "prediction"), texts)
        }
        scores = {"g_iou": 0.0}
        made.append({"id": f"s{i // 2}", "index": i, "scores": scores, "image_size": [8, 8],
                     "boxes": boxes})  # fmt: skip
    return made


@pytest.fixture
def folder(tmp_path):
    sample_files.write(tmp_path / "samples", "report", records(), {})
    questions = [{"id": "a", "scores": {"f1": 1.0}, "boxes": {}}]
    sample_files.write(tmp_path / "samples", "vqa", questions, {})
    return tmp_path


def table(folder, capsys, *options):
    assert g_iou.main([str(folder), "--resamples=100", *options]) == 0
    rows = re.findall(
        r"\| (\w+) \| (g_iou\S+) \| (\S+) \(.*?\) \| (\d+) \|", capsys.readouterr().out
    )
    return {name: (float(value), int(n)) for _, name, value, n in rows}


@pytest.mark.parametrize("mode", ["paper", "reference_det"])
@pytest.mark.parametrize("backend", ["class_id", "lexicon"])
def test_records_score_as_the_texts_that_they_were_made_from(folder, capsys, mode, backend):
    wanted = grounding.g_iou(PREDICTIONS, REFERENCES, mode=mode, similarity=backend, codec=CODEC)
    found = table(folder, capsys, f"--mode={mode}", f"--similarity={backend}")
    assert found.keys() == {wanted["name"]}
    value, n = found[wanted["name"]]
    assert value == pytest.approx(wanted["g_iou"], abs=6e-4)
    assert n == sum(s["g_iou"] is not None for s in wanted["per_sample"])


def test_the_quirk_of_the_released_script_is_seen_beside_the_paper(tmp_path, capsys):
    made = records(REFERENCES[:1], PREDICTIONS[:1])  # All entities are right, in another order.
    sample_files.write(tmp_path / "samples", "report", made, {})
    found = table(tmp_path, capsys)
    assert found["g_iou/paper/class_id"][0] == 1
    assert found["g_iou/reference_det/class_id"][0] == 0.5


def test_masks_of_records_are_compared_as_masks(tmp_path, capsys):
    mask = np.zeros((8, 8), bool)
    mask[:4] = True
    (record,) = records([LIVER], [f"{LIVER} {SPLEEN}"])
    runs = {"reference": [mask], "prediction": [mask[:, ::-1] & (np.arange(8) < 4), None]}
    for side, found in runs.items():
        for e, m in zip(record["boxes"][side], found):
            e["mask"] = None if m is None else masks.to_runs(m)
    sample_files.write(tmp_path / "samples", "report", [record], {})
    found = table(tmp_path, capsys)
    # The prediction has half of the liver, and a spleen that the reference does not have. Only the
    # mode of the paper counts the spleen.
    assert found["g_iou/paper/class_id"] == (0.25, 1)
    assert found["g_iou/reference_seg/class_id"] == (0.5, 1)


def test_vectors_come_from_an_endpoint_once_and_then_from_their_file(folder, capsys):
    with judge_server.running() as (url, server):
        options = ["--similarity=embedding", "--embed_model=toy", f"--embed_url={url}"]
        found = table(folder, capsys, "--mode=paper", *options)
        assert table(folder, capsys, "--mode=paper", *options) == found
        assert len(server.bodies) == 1 and server.bodies[0]["input"] == ["liver", "spleen"]
    # Now the file is enough, also at another path, and it names the model.
    assert table(folder, capsys, "--mode=paper", "--similarity=embedding") == found
    moved = (folder / "vectors.npz").rename(folder / "moved.npz")
    options = ["--similarity=embedding", f"--vectors={moved}"]
    assert table(folder, capsys, "--mode=paper", *options) == found
    assert found.keys() == {"g_iou/paper/embedding:toy"}
    assert g_iou.main([str(folder), *options, "--embed_model=other"]) == 2
    said = capsys.readouterr()
    assert "holds vectors of toy, and --embed_model is other" in said.err and not said.out


@pytest.mark.parametrize(
    "options, message",
    [
        (["--similarity=words"], "--similarity=words: there are class_id, lexicon, embedding"),
        (["--similarity=embedding"], "needs --embed_url, or --vectors"),
        (["--similarity=embedding", "--embed_url=http://x/v1"], "go together"),
        (["--mode=seg"], "no mode 'seg'"),
        (["--mode=reference_seg"], "mode 'reference_seg' is for masks"),
    ],
)
def test_what_does_not_go_is_an_error_that_says_what_does(folder, capsys, options, message):
    assert g_iou.main([str(folder), *options]) == 2
    said = capsys.readouterr()
    assert message in said.err and not said.out


def test_a_folder_without_samples_is_an_error(tmp_path, capsys):
    assert g_iou.main([str(tmp_path)]) == 2
    assert "has no samples of grounded texts: give the --out" in capsys.readouterr().err
