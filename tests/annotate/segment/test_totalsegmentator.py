import itertools
import json
import re
import sys
import types

import numpy as np
import pytest

from big_rad.annotate.faults import Failed, Rejected
from big_rad.annotate.segment import totalsegmentator
from big_rad.annotate.segment.harmonised import TASKS
from big_rad.annotate.segment.totalsegmentator import SettingsError
from big_rad.grounding import classes
from tests.helpers import label_volumes as made
from tests.helpers import processes
from tests.helpers import totalsegmentator_wheel as wheel
from tests.helpers.totalsegmentator_stand_in import install

SECRET = "Mustermann"
CT = (2, 3, 10, 26, 52, 117)
MR = tuple(classes.by_name(n).id for n in ("liver", "lung_left", "vertebrae", "brain"))


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / SECRET
    (folder / "scratch").mkdir(parents=True)
    return folder


def run(place, mode="", *, ids=CT, modality="CT", values=None, **settings):
    values = made.random_labels(ids) if values is None else values
    volume = made.stored(place, values, modality=modality)
    given = install(place / "installed", mode, **settings)
    return totalsegmentator.run(volume, modality, given, place / "scratch")


def logged(place):
    return json.loads((place / "installed" / "log.json").read_text())


def fault(place, mode, kind, **options):
    with pytest.raises(kind) as e:
        run(place, mode, **options)
    assert type(e.value) is kind
    assert SECRET not in str(e.value) and "/" not in str(e.value)
    assert not list((place / "scratch").iterdir())
    return str(e.value)


@pytest.mark.parametrize("modality, ids", [("CT", CT), ("MR", MR)])
def test_labels_become_classes_by_name(place, modality, ids):
    expected = made.random_labels(ids)
    found = run(place, modality=modality, ids=ids)
    assert (found.labels == expected).all() and found.labels.dtype == np.uint8
    task = {"CT": "total", "MR": "total_mr"}[modality]
    assert found.about["task"] == task and found.about["version"] == "2.18.0"
    assert found.about["names"] == "own table" and not found.warnings
    assert not list((place / "scratch").iterdir())


def test_the_tables_of_the_installation_count_where_the_output_has_none(place):
    found = run(place, "no_table", modality="MR", ids=MR)
    assert (found.labels == made.random_labels(MR)).all()
    assert found.about["names"] == "installed tables"


def test_a_run_gets_a_home_and_weights_of_its_own_and_no_more(place, monkeypatch):
    monkeypatch.setenv("AWS_SECRET", "x")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    homes = place / "homes"
    homes.mkdir()
    run(place, home=homes, fast=True)
    said = logged(place)
    env = said["environment"]
    assert said["config"]["send_usage_stats"] is False
    assert env["HOME"].startswith(str(homes)) and env["TOTALSEG_HOME_DIR"].startswith(env["HOME"])
    assert env["TMPDIR"].startswith(str(place / "scratch"))
    assert env["TOTALSEG_WEIGHTS_PATH"] == str(place / "installed" / "weights")
    assert env["CUDA_VISIBLE_DEVICES"] == "3" and "AWS_SECRET" not in env
    assert "--fast" in said["arguments"]
    assert not list(homes.iterdir())


FAULTS = {
    "crash": (Failed, "exit code 1"),
    "licence": (Failed, "exit code 1: the task needs a licence number"),
    "memory": (Failed, "exit code 1: the memory of the GPU is too small"),
    "killed": (Failed, "signal 9: the system sends this signal where memory is short"),
    "no_file": (Failed, "wrote no labels"),
    "half": (Failed, "did not write its labels whole"),
    "shape": (Rejected, "4 x 6 x 7 voxels and the volume 5 x 6 x 7"),
    "affine": (Rejected, "affine"),
    "empty": (Rejected, "none of its classes"),
    "unknown": (Rejected, "label 200"),
    "names": (SettingsError, "label 26"),
}


@pytest.mark.parametrize("mode", FAULTS)
def test_each_fault_of_the_program_has_a_reason_without_names(place, mode):
    kind, reason = FAULTS[mode]
    assert reason in fault(place, mode, kind)


def test_a_hanging_run_is_ended_with_its_children(place):
    assert "within 1.5 s" in fault(place, "hang", Failed, timeout_s=1.5)
    assert len(logged(place)["processes"]) == 2
    assert processes.all_gone(logged(place)["processes"])


def test_what_the_program_prints_does_no_harm(place):
    assert run(place, "loud").labels.any()


def test_a_run_on_the_cpu_for_want_of_a_gpu_is_said(place):
    assert run(place, "no_gpu").warnings == ("TotalSegmentator found no GPU and ran on the CPU",)


def test_other_modalities_have_no_task(place):
    assert "CT and MR" in fault(place, "", Rejected, modality="OT")


def test_missing_weights_are_noticed_before_the_first_run(place):
    settings = install(place / "installed")
    assert totalsegmentator.check(settings, ["CT", "MR"]) == []
    [model] = (place / "installed" / "weights").glob("Dataset851_*/*/fold_0/checkpoint_final.pth")
    model.unlink()
    assert totalsegmentator.check(settings, ["CT"]) == []
    with pytest.raises(SettingsError, match="Dataset851_.*totalseg_download_weights -t total_mr"):
        totalsegmentator.check(settings, ["CT", "MR"])
    volume = made.stored(place, made.random_labels(MR))
    with pytest.raises(SettingsError, match="Dataset851"):
        totalsegmentator.run(volume, "MR", settings, place / "scratch")
    assert not (place / "installed" / "log.json").exists()


def parsed(words, monkeypatch):
    """What the real command line hands to the segmentation."""
    device = wheel.function("python_api", "validate_device_type_api", re=re)
    tables = wheel.module("map_to_binary")
    registry = wheel.module("registry", **vars(tables))
    calls = []
    metadata = types.SimpleNamespace(version=lambda _: "2.18.0")
    program = wheel.module(
        "bin/TotalSegmentator",
        totalsegmentator=lambda *a, **k: calls.append((a, k)),
        importlib=types.SimpleNamespace(metadata=metadata),
        TASKS=registry.TASKS,
        validate_device_type_api=device,
    )
    monkeypatch.setattr(sys, "argv", ["TotalSegmentator", *words])
    program.main()
    return calls[0]


@pytest.mark.parametrize("task, fast", list(itertools.product(TASKS, (False, True))))
def test_the_real_parser_takes_the_arguments(tmp_path, monkeypatch, task, fast):
    settings = totalsegmentator.Settings(device="gpu:1", fast=fast)
    source, target = tmp_path / "volume.nii", tmp_path / "labels.nii"
    words = totalsegmentator.arguments(source, target, task, settings)
    values, named = parsed(words, monkeypatch)
    assert values[:3] == (source, target, True)
    assert (values[5], values[8], values[9]) == (fast, task, None)
    assert values[15:17] == ("nifti", True)
    assert named["device"] == "gpu:1" and named["license_number"] is None
    assert not named["fastest"] and not named["robust_crop"] and not named["v1_order"]


def test_the_real_program_sends_nothing_with_our_settings_file(tmp_path, monkeypatch):
    config = wheel.module("config", torch=None, requests=None, importlib=None)
    monkeypatch.setenv("TOTALSEG_HOME_DIR", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps(totalsegmentator.CONFIG))
    assert config.setup_totalseg() == totalsegmentator.CONFIG
    assert config.get_config_key("statistics_disclaimer_shown")
    assert config.increase_prediction_counter()["prediction_counter"] == 1
    # It looks at what to send only if it is going to send.
    config.send_usage_stats(config.get_config(), {})
    with pytest.raises(KeyError):
        config.send_usage_stats({"send_usage_stats": True}, {})
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path / "weights"))
    assert config.get_weights_dir() == tmp_path / "weights"


def test_the_phrases_that_explain_a_fault_occur_in_the_real_program():
    source = wheel.all_sources()
    for phrase in ("requires a license", "Invalid license number", "Downloading model"):
        assert phrase in source and phrase in [p for p, _ in totalsegmentator.HINTS]
    for phrase in totalsegmentator.ON_CPU:
        assert phrase in source
