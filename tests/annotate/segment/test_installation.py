import dataclasses

import pytest

from big_rad.annotate.segment import harmonised, installation
from big_rad.annotate.segment.settings import SettingsError
from tests.helpers import totalsegmentator_wheel as wheel
from tests.helpers.totalsegmentator_stand_in import install


def test_version_and_tables_are_read_from_the_environment_of_the_command(tmp_path):
    found = installation.installed(install(tmp_path))
    assert found["version"] == "2.18.0"
    assert found["tasks"]["total_mr"] == dict(enumerate(harmonised.TASKS["total_mr"], start=1))
    assert harmonised.compare(found["tasks"]) == []


@pytest.mark.parametrize("version, right", [("2.4.9", False), ("1.5.7", False), ("2.5.0", True)])
def test_versions_before_the_tables_of_today_are_refused(tmp_path, version, right):
    settings = install(tmp_path, version=version)
    if right:
        assert installation.installed(settings)["version"] == version
    else:
        with pytest.raises(SettingsError, match="too old.* 2.5 or later"):
            installation.installed(settings)


def test_other_classes_of_an_installation_are_said(tmp_path):
    tables = {t: dict(enumerate(n, start=1)) for t, n in harmonised.TASKS.items()}
    tables["total"][26] = "vertebrae_L6"
    said = installation.check(install(tmp_path, tables=tables), ["CT"])
    assert any("vertebrae_L6" in s for s in said)


def test_an_environment_without_totalsegmentator_is_an_error(tmp_path):
    settings = dataclasses.replace(install(tmp_path), env={})
    with pytest.raises(SettingsError, match="cannot be asked"):
        installation.installed(settings)


def test_the_numbers_of_the_models_are_those_of_the_real_program():
    tasks = wheel.module("map_tasks_config").TASK_CONFIGS
    folders = wheel.module("map_tasks_config").TASK_ID_WEIGHTS_CONFIGS
    for (task, fast), numbers in installation.MODELS.items():
        theirs = tasks[task]["sub_modes"]["fast" if fast else "default"]["task_id"]
        assert numbers == (tuple(theirs) if isinstance(theirs, list) else (theirs,))
        for number in numbers:
            assert folders[number]["foldername"].startswith(f"Dataset{number}_")
            assert "rel_path" not in folders[number]
    options = wheel.module("bin/totalseg_download_weights").TASK_TO_ID
    assert {"total", "total_fast", "total_mr", "total_fast_mr"} <= set(options)
