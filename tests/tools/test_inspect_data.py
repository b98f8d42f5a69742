import base64
import html.parser
import io
import pathlib
import re

import ml_collections
import numpy as np
import pytest
from PIL import Image

from big_rad import input_pipeline
from big_rad.datasets import core
from big_rad.datasets.phantom import builder
from big_rad.evaluators import data as eval_data
from big_rad.grounding import boxes as box_lib
from big_rad.pp import packed
from big_rad.pp import tokenizer as tokenizer_lib
from configs import demo, radgrounder_det
from tools import inspect_data
from tools.inspection import example as inspect_example
from tools.inspection import rows as inspect_rows
from tools.inspection import stats as inspect_stats

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
DEMO = f"{CONFIGS / 'demo.py'}"
DET = f"{CONFIGS / 'radgrounder_det.py'}:variant=tiny,data=phantom,size=112"
HOSTILE = "<script>alert(1)</script> \"q\" 'q' & <img src=http://evil.example/x> \x1b[2J"
ORANGE = np.array([0xE6, 0x9F, 0])


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom")
    builder.build("demo", folder, workers=1, train=24, validation=10, test=10)
    return str(folder)


class Page(html.parser.HTMLParser):
    """The content of a page, collected for each example."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.examples = [], [], []
        self.tables = []  # Their class, caption and cells.
        self._into = self._cells = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        self.addresses += [v for k, v in attrs.items() if k in ("src", "href", "srcset", "action")]
        css = attrs.get("class", "")
        if tag == "table":
            self.tables.append({"class": css, "caption": "", "cells": []})
        elif tag in ("caption", "td"):
            self._cells = self.tables[-1]["cells"] if tag == "td" else "caption"
            if tag == "td":
                self._cells.append("")
        if tag == "article":
            self.examples.append({"codes": [], "exact": [], "images": [], "tokens": []})
        elif not self.examples:
            return
        elif tag == "img":
            self.examples[-1]["images"].append(attrs)
        elif tag == "code" or (tag == "pre" and css == "exact"):
            self._into = self.examples[-1]["codes" if tag == "code" else "exact"]
            self._into.append("")
        elif tag == "tr" and css in ("bos", "prompt", "separator", "target", "eos", "pad"):
            self.examples[-1]["tokens"].append([css])
        elif tag == "td" and self.examples[-1]["tokens"]:
            self._into = self.examples[-1]["tokens"][-1]
            self._into.append("")

    def handle_endtag(self, tag):
        if tag in ("code", "pre", "td"):
            self._into = None
        if tag in ("caption", "td"):
            self._cells = None

    def handle_data(self, data):
        if self._into is not None:
            self._into[-1] += data
        if self._cells == "caption":
            self.tables[-1]["caption"] += data
        elif self._cells is not None:
            self._cells[-1] += data


def made(tmp_path, data_dir, *args):
    path = tmp_path / "page.html"
    inspect_data.main([f"--data_dir={data_dir}", f"--out={path}", *args])
    return path.read_text(encoding="utf-8")


def ids_of(example):
    """Returns the token ids in the table, where a run of padding is one line, such as 12–20."""
    ids = []
    for _, at, i, *_ in example["tokens"]:
        first, _, last = at.partition("–")
        ids += [int(i)] * (int(last or first) - int(first) + 1)
    return ids


def trained(config, data_dir, seed, batches):
    """Returns id -> row of the first batches of training."""
    iterator = input_pipeline.make_train(config, seed, data_dir).iterator
    rows = {}
    for _ in range(batches):
        batch = next(iterator)
        for k, i in enumerate(batch["id"]):
            rows.setdefault(i, {n: v[k] for n, v in batch.items() if n != "rejects"})
    return rows


def mixed():
    """Returns the detection recipe with two datasets, which have no id in common."""
    c = radgrounder_det.get_config("variant=tiny,data=phantom,size=112")
    c.input.other = ml_collections.ConfigDict(c.input.phantom.to_dict() | {"split": "validation"})
    c.input.data = dict(phantom=2.0, other=1.0)
    return c


@pytest.mark.parametrize("name, size", [("phantom", 24), ("other", 10)])
def test_the_rows_are_those_that_training_gets_with_this_seed(data_dir, name, size):
    config = mixed()
    rows = trained(config, data_dir, seed=5, batches=2)
    part = inspect_stats.training(config, name, data_dir, n=4, seed=5)
    assert len(part.rows) == 4 and part.counts.rows == part.size == size
    for row in part.rows:
        want = rows[row.id]
        np.testing.assert_array_equal([t.id for t in row.tokens], want["text"])
        np.testing.assert_array_equal([t.mask_ar for t in row.tokens], want["mask_ar"])
        np.testing.assert_array_equal([t.mask_loss for t in row.tokens], want["mask_loss"])
        np.testing.assert_array_equal(row.image, want["image"])
    other = inspect_stats.training(config, name, data_dir, n=4, seed=6)
    assert [r.id for r in other.rows] != [r.id for r in part.rows]


def test_the_page_holds_prompt_target_and_token_ids_of_training(tmp_path, data_dir, capsys):
    page = Page(made(tmp_path, data_dir, f"--config={DET}", "--n=6", "--seed=3"))
    config = radgrounder_det.get_config("variant=tiny,data=phantom,size=112")
    rows = trained(config, data_dir, seed=3, batches=1)
    source = {e["id"]: e for e in core.make_source(config.input.phantom, data_dir)}
    tok = tokenizer_lib.load("tiny")
    printed = capsys.readouterr().out
    assert len(page.examples) == 6
    for example in page.examples:
        (id,), (prompt, suffix) = example["codes"], example["exact"]
        text, learned = rows[id]["text"], rows[id]["mask_ar"] == 1
        assert ids_of(example) == text.tolist()
        assert prompt == tok.decode(text[~learned], skip_special=True)
        assert suffix == tok.decode(text[learned], skip_special=True)
        assert prompt.startswith("\n") and prompt.endswith(": \n")
        visible = re.sub(r"<p bbox=(<loc\d{4}>){4} id=<seg\d{3}>>|</p>", "", suffix)
        said = [t.get("sentence") or t.get("answer") for t in source[id]["texts"]]
        assert visible in said
        assert repr(prompt) in printed and repr(suffix) in printed


def test_boundaries_are_where_the_prompt_ends_and_the_target_ends(tmp_path, data_dir):
    page = Page(made(tmp_path, data_dir, f"--config={DEMO}", "--n=3"))
    for example in page.examples:
        rows = [r for r in example["tokens"] if r[0] != "pad"]
        starts = [i for i, r in enumerate(rows) if r[0] == "bos"]
        assert len(starts) > 1  # A row has several texts.
        for a, b in zip(starts, [*starts[1:], len(rows)]):
            roles = [r[0] for r in rows[a:b]]
            middle = roles.index("separator")
            assert roles[:1] + roles[-1:] == ["bos", "eos"]
            assert set(roles[1:middle]) == {"prompt"} and set(roles[middle + 1 : -1]) == {"target"}
            assert rows[a + middle][3].endswith("↵")
            for role, _, _, _, ar, loss, segment in rows[a:b]:
                assert (ar, loss) == (("1", "1") if role in ("target", "eos") else ("0", "0"))
                assert segment == rows[a][6]


def test_boxes_are_those_of_the_target_and_of_the_slice_and_are_drawn_there(tmp_path, data_dir):
    config = radgrounder_det.get_config("variant=tiny,data=phantom,size=112")
    part = inspect_stats.training(config, "phantom", data_dir, n=24)
    source = {e["id"]: e for e in core.make_source(config.input.phantom, data_dir)}
    page = Page(made(tmp_path, data_dir, f"--config={DET}", "--n=24"))
    checked = 0
    for row, example in zip(part.rows, page.examples, strict=True):
        (text,) = row.texts
        written = re.findall(r"<loc(\d{4})>" * 4 + r" id=<seg(\d{3})>>", text.suffix)
        assert len(written) == len(text.entities)
        true = box_lib.from_label_map(packed.array(source[row.id]["segmap"]))
        for (*bins, class_id), entity in zip(written, text.entities, strict=True):
            assert entity.box == pytest.approx([int(b) / 512 * 112 for b in bins])
            assert entity.class_id == int(class_id)
            assert np.abs(np.subtract(entity.box, true[entity.class_id])).max() <= 112 / 512
        marks = inspect_example.marks(row)
        assert {m.box for m in marks} == {e.box for e in text.entities}
        if len(marks) == 1:
            checked += _is_drawn(example["images"][0]["src"], marks[0].box)
    assert checked >= 3


def _is_drawn(uri, box):
    """Asserts that the middle of each side of a box is orange, and that its centre is not."""
    picture = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")
    pixels = np.asarray(picture).astype(int)
    x1, y1, x2, y2 = np.multiply(box, 4)
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    sides = [(x1 + 1, y), (x2 - 2, y), (x, y1 + 1), (x, y2 - 2)]
    far = [np.abs(pixels[int(b), int(a)] - ORANGE).sum() for a, b in [*sides, (x, y)]]
    assert max(far[:4]) < 90 < far[4]
    return True


def test_histograms_and_shares_count_every_row_and_text_once(tmp_path, data_dir, capsys):
    config = demo.get_config()
    config.input.buckets = (160, 200)
    part = inspect_stats.training(config, "phantom", data_dir, n=2, limit=20)
    c = part.counts
    rows = list(trained(demo.get_config(), data_dir, 0, 3).values())[:20]
    assert c.rows == 20 and c.texts == sum(int(row["segment"].max()) for row in rows)
    assert c.filled == sum(int((row["text"] != 0).sum()) for row in rows)
    for counter, total in ((c.row_tokens, c.rows), (c.text_tokens, c.texts)):
        for most in (5, 24):
            bins = inspect_stats.histogram(counter, most=most)
            assert sum(n for _, _, n in bins) == total and len(bins) <= most
    assert sum(n for _, n in inspect_stats.in_buckets(c.row_tokens, part.buckets, 240)) == 20
    assert sum(c.tasks.values()) == sum(c.langs.values()) == c.texts
    assert sum(k * n for k, n in c.text_tokens.items()) == c.filled
    page = Page(made(tmp_path, data_dir, f"--config={DEMO}", "--rows=20", "--n=2"))
    (table,) = (t for t in page.tables if t["caption"] == "Tokens a row")
    assert sum(int(cell) for cell in table["cells"] if cell.isdecimal()) == 20
    assert "tokens a row: 20" in capsys.readouterr().out


def test_a_row_is_in_the_smallest_bucket_that_training_would_cut_it_to():
    tokens = {33: 2, 34: 3, 49: 5, 60: 7}
    for length, rows in tokens.items():
        text = np.r_[np.ones(length, int), np.zeros(9, int)]
        least = input_pipeline.row_length(text)
        found = inspect_stats.in_buckets({length: rows}, (32, 48), 64)
        (bucket,) = [b for b, n in found if n]
        assert bucket == min(b for b in (32, 48, 64) if b >= least)


class Fake:
    """A source of one slice with given texts; `broken` items have no image or cannot be read."""

    def __init__(self, texts, broken=(), **fields):
        self.texts, self.broken, self.fields = texts, broken, fields

    def __len__(self):
        return 8

    def __getitem__(self, i):
        if "read" in self.broken and i == 1:
            raise OSError(2, "No such file", "/clinic/Mrs Smith/slice.dcm")
        segmap = np.zeros((56, 56), np.uint8)
        segmap[10:30, 20:50] = 5
        image = np.arange(56 * 56, dtype=np.int16).reshape(56, 56)
        if "image" in self.broken and i == 2:
            image = image[:0]
        example = dict(
            id=f"slice-{i}", patient="SMITH^JANE", modality="MR", plane="axial", body_part="chest",
            image=image, segmap=segmap, texts=self.texts,
        )  # fmt: skip
        return example | self.fields


def report_text(sentence, keywords, **fields):
    base = dict(task="report", lang="en", clinical="", question="", template="")
    return base | dict(sentence=sentence, keywords=keywords) | fields


@pytest.fixture
def fake(monkeypatch):
    def use(*args, **fields):
        monkeypatch.setattr(core, "load_source", lambda *_, **__: Fake(*args, **fields))

    return use


def test_hostile_text_is_escaped_and_cannot_control_a_terminal(tmp_path, fake, capsys):
    text = report_text(HOSTILE + " liver.", [["liver", 5]], clinical=HOSTILE, question=HOSTILE)
    fields = dict.fromkeys(("plane", "body_part"), HOSTILE)
    fake([text], id=f"{HOSTILE}-1", **fields)
    text = made(tmp_path, "x", f"--config={DET}", "--n=2")
    page = Page(text)
    assert "<script" not in text and "&lt;script&gt;" in text
    assert not {"script", "link", "iframe", "object", "form"} & {tag for tag, _ in page.tags}
    assert all(a.startswith(("data:image/png;base64,", "#")) for a in page.addresses)
    assert "url(" not in text and "@import" not in text
    assert "\x1b" not in capsys.readouterr().out


def test_bad_examples_are_listed_with_id_and_reason_and_the_rest_is_shown(tmp_path, fake, capsys):
    fake([report_text("The liver.", [["liver", 5]])], broken=("read", "image"))
    text = made(tmp_path, "x", f"--config={DET}", "--n=8")
    out = capsys.readouterr().out
    assert len(Page(text).examples) == 6
    assert "bad examples: 2" in out
    for shown in (text, out):
        assert "slice-2" in shown and "in preprocessing op" in shown
        assert "item 1" in shown and "No such file" in shown
        assert "Smith" not in shown and "SMITH" not in shown and "/clinic" not in shown


def test_data_of_which_nothing_can_be_used_say_why_and_fail(tmp_path, fake, capsys):
    fake([report_text("The liver.", [], lang="de")])
    sets = "('detection', 'segmentation')"
    pp = f"load|normalize|resize(112)|prompt('vqa')|tok('tiny', {sets})"
    with pytest.raises(SystemExit) as e:
        made(tmp_path, "x", f"--config={DET}", f"--config.input.phantom.pp={pp}")
    assert e.value.code == 2
    out, err = capsys.readouterr()
    assert "none of the 1 texts has tasks='vqa'" in out and "no example could be used" in err


def test_what_is_left_out_is_said_with_the_reason(fake):
    text = report_text(
        "Liver and spleen.", [["liver", 5], ["spleen", 1], ["left liver lobe", 5], ["gall", 5]]
    )
    fake([text])
    config = radgrounder_det.get_config("variant=tiny,data=phantom,size=112")
    counts = inspect_stats.training(config, "phantom", "x").counts
    assert dict(counts.classes) == {5: 8} and dict(counts.absent) == {1: 8}
    assert not counts.unmarked and counts.marked == counts.grounded == 8
    fake([report_text("No word of it.", [["liver", 5]])])
    counts = inspect_stats.training(config, "phantom", "x").counts
    assert dict(counts.unmarked) == {5: 8} and not counts.absent and not counts.marked


def test_texts_that_are_cut_are_counted_and_shown_as_the_model_gets_them(fake):
    words = "The liver is large and the spleen is small."
    fake([report_text(words, []), report_text("Short.", [], lang="de")])
    config = radgrounder_det.get_config("variant=tiny,data=phantom,size=112")
    config.input.phantom.pp = config.input.phantom.pp.replace("max_text=200", "max_text=16")
    part = inspect_stats.training(config, "phantom", "x")
    cut = [row.texts[0] for row in part.rows if row.texts[0].cut]
    assert 0 < part.counts.cut == len(cut) < 8
    for text in cut:
        assert words.startswith(text.suffix) and len(text.suffix) < len(words)
        assert text.tokens == 18  # 16 tokens, <bos> and <eos>.


def test_masks_are_those_of_the_batch(tmp_path, data_dir):
    config = radgrounder_det.get_config("variant=tiny,data=phantom,size=112")
    pp = inspect_rows.without_keep(config.input.phantom.pp)
    pp = re.sub(r"ground\(.*?\)", "ground('masks')", pp).replace(
        "length=202", "masks=4, length=202"
    )
    config.input.phantom.pp = pp.replace("tasks='report,vqa'", "tasks='report'")
    part = inspect_stats.training(config, "phantom", data_dir, n=6, seed=1)
    rows = trained_masks(config, data_dir)
    assert part.counts.marked and not part.codec
    for row in part.rows:
        (text,) = row.texts
        want = rows[row.id]
        classes = [int(k) for k in want["mask_class"] if k]
        assert [e.class_id for e in text.entities] == classes[: len(text.entities)]
        for entity, mark in zip(text.entities, inspect_example.marks(row)):
            np.testing.assert_array_equal(entity.mask, want["segmap"] == entity.class_id)
            assert entity.mask.any() and mark.mask is not None
    inspect_example.card(1, part.rows[0])


def trained_masks(config, data_dir):
    c = config.copy_and_resolve_references()
    keep = "keep('id', 'image', 'text', 'mask_ar', 'mask_loss', 'segmap', 'mask_class')"
    c.input.phantom.pp += "|" + keep
    return trained(c, data_dir, seed=1, batches=1)


@pytest.mark.parametrize(
    "text, shown",
    [
        ("no /home/a b/Jane Doe/1.dcm", "no 1.dcm"),
        ("tok('/home/jane/p.model', 3)|x", "tok('p.model', 3)|x"),
        (r"C:\Users\jane\1.dcm is bad", "1.dcm is bad"),
        ("1/2, CT/MR and </p> or https://a.b/c/d", "1/2, CT/MR and </p> or https://a.b/c/d"),
    ],
)
def test_folders_are_taken_out_of_paths(text, shown):
    assert inspect_stats.scrub(text) == shown


@pytest.mark.parametrize("name", ["vqa", "report"])
def test_evaluation_rows_hold_no_answer_and_the_reference_stands_beside_them(
    tmp_path, data_dir, name, capsys
):
    config = demo.get_config()
    asked = eval_data.load(config.evals[name], data_dir)
    items = {asked[i]["meta"]["id"]: asked[i] for i in range(len(asked))}
    page = Page(made(tmp_path, data_dir, f"--config={DEMO}", f"--eval={name}", "--n=5"))
    tok = tokenizer_lib.load("tiny")
    assert len(page.examples) == 5
    for example in page.examples:
        item = items[example["codes"][0]]
        prompt, reference = example["exact"]
        assert ids_of(example) == item["text"].tolist()
        assert {r[0] for r in example["tokens"]} <= {"bos", "prompt", "separator", "pad"}
        assert [i for i in ids_of(example) if i] == tok.encode(prompt, bos=True)
        assert reference == item["reference"]
        assert prompt.endswith(" \n")
    assert f"== {name} (evaluation, rows without the answer)" in capsys.readouterr().out


def test_patients_and_paths_are_not_shown(tmp_path, fake, capsys):
    fake([report_text("The liver.", [["liver", 5]])])
    tokenizer = tmp_path / "jane" / "tiny.model"
    tokenizer.parent.mkdir()
    tokenizer.write_bytes(tokenizer_lib.load("tiny").model)
    args = [f"--config.tokenizer.path={tokenizer}"]
    pp = radgrounder_det.get_config("variant=tiny,data=phantom,size=112").input.phantom.pp
    args.append(f"--config.input.phantom.pp={pp.replace('tiny', str(tokenizer))}")
    text = made(tmp_path, "x", f"--config={DET}", *args)
    out = capsys.readouterr().out.replace(str(tmp_path / "page.html"), "")
    for shown in (text, out):
        assert "SMITH" not in shown and "jane" not in shown and str(tmp_path) not in shown
        assert "slice-3" in shown


@pytest.mark.parametrize(
    "args, message",
    [
        (["--dataset=slike"], "no dataset 'slike' in config.input.data; known: phantom"),
        (["--eval=repport"], "no evaluation 'repport' in config.evals; known: detect, .*vqa"),
        (["--eval=report", "--dataset=phantom"], "either --dataset or --eval"),
        (["--n=0"], "--n=0: must be at least 1"),
        (["--config.lrr=3"], "no field 'lrr'; .*did you mean 'lr'"),
        (["--nn=3"], "nn"),
        (["x"], "not .*'x'"),
        (["--config=nowhere.py"], "nowhere.py"),
        ([f"--config={DEMO}:stesp=3"], "'stesp': unknown; known: steps"),
        (["--data_dir=nowhere"], "build it: python -m tools.build_dataset phantom"),
    ],
)
def test_wrong_arguments_are_one_line_with_exit_code_2(tmp_path, data_dir, capsys, args, message):
    with pytest.raises(SystemExit) as e:
        made(tmp_path, data_dir, f"--config={DEMO}", *args)
    assert e.value.code == 2
    err = capsys.readouterr().err
    assert re.search(message, err) and err.count("\n") == 1
    assert not (tmp_path / "page.html").exists()


def test_pages_can_be_read_on_a_phone_in_the_dark_and_aloud(tmp_path, data_dir):
    text = made(tmp_path, data_dir, f"--config={DEMO}", "--n=2")
    page = Page(text)
    tags = [tag for tag, _ in page.tags]
    assert "prefers-color-scheme: dark" in text and "width=device-width" in text
    assert tags.count("h1") == 1 and tags.index("h1") < tags.index("h2") < tags.index("h3")
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(images) == 2 * 5 and all(a["alt"] for a in images)
    assert all(t["caption"] for t in page.tables if t["class"] == "tokens")
    assert len(text) < 5e6 / 6
