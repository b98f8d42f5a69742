"""The notebooks as files: what a reader on GitHub or Colab gets, without running them."""

import json
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Folders of a machine on which a notebook was run, and its users.
_MACHINE = re.compile(r"(?<![\w./])/(tmp|work|root|home|Users|content)/\w")


def cells_of(path, kind):
    book = json.loads(path.read_text(encoding="utf-8"))
    return [c for c in book["cells"] if c["cell_type"] == kind]


def text_of(output):
    plain = {k: v for k, v in output.get("data", {}).items() if k.startswith("text/")}
    return "".join(output.get("text", [])) + json.dumps(plain, ensure_ascii=False)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_outputs_are_kept_and_tell_nothing_about_the_machine(path):
    run = [c for c in cells_of(path, "code") if "download" not in c["metadata"].get("tags", ())]
    assert all(c["execution_count"] for c in run), "run .ci/notebooks.py --keep"
    outputs = [o for c in run for o in c["outputs"]]
    assert {"stream", "display_data"} <= {o["output_type"] for o in outputs}
    for output in outputs:
        assert output["output_type"] != "error"
        assert not _MACHINE.search(text_of(output))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_colab_gives_a_gpu_and_the_reader_is_warned_first(path):
    book = json.loads(path.read_text(encoding="utf-8"))
    assert book["metadata"]["accelerator"] == "GPU"
    assert book["metadata"]["colab"]["gpuType"] == "T4"
    first = "".join(book["cells"][0]["source"])
    assert "not for diagnostic use" in first and "Apache-2.0" in first
    assert f"/notebooks/{path.name})" in first  # The badge opens this notebook and no other.


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_links_to_other_files_lead_somewhere(path):
    text = "\n".join("".join(c["source"]) for c in cells_of(path, "markdown"))
    links = [x for x in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in x]
    for link in links:
        file, _, heading = link.partition("#")
        target = (path.parent / file).resolve()
        assert target.is_file(), link
        if heading:
            titles = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}
            assert heading in anchors, link
