import json
import shutil

import nibabel
import numpy as np
import pyarrow.parquet as pq
import pytest

from big_rad.datasets import core
from big_rad.datasets.phantom import builder
from big_rad.pp import ops_caption, packed
from tests.helpers import browser, html_page, tiny_run, towers
from tools import retrieve
from tools.retrieval import images as images_lib
from tools.retrieval import index, queries
from tools.retrieval import towers as towers_lib

HOSTILE = "<script>alert(1)</script> \"q\" 'q' & <img src=http://evil.example/x> \x1b[2J"
SECRET = "Zq7Secret"  # What must be in no output.


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a small dataset and a run, and an index of its validation split."""
    folder = tmp_path_factory.mktemp("retrieve")
    builder.build("demo", folder, workers=1, train=2, validation=5, test=3)
    towers.write_run(folder / "run")
    search(folder)
    (folder / "out/search.parquet").rename(folder / "index.parquet")
    return folder


@pytest.fixture(scope="module")
def model(place):
    return towers_lib.load(place / "run", lambda line: None)


def search(place, *options, query="--query=liver", run="run", data="phantom:validation"):
    """Searches, and returns the page."""
    out = place / "out" / "search.html"
    retrieve.main(
        [f"--checkpoint={place / run}", f"--data={data}", f"--data_dir={place}", f"--out={out}",
         *filter(None, [query]), *options]
    )  # fmt: skip
    return html_page.read(out)


def found(text):
    """The (image, similarity) pairs of the lines that are printed."""
    lines = [line.split() for line in text.splitlines() if line.startswith("  ")]
    return [(line[0], float(line[1])) for line in lines]


def example(id, value=0, texts=(), **fields):
    """An example as a dataset has it, with a picture of its own."""
    pixels = np.random.default_rng(value).integers(-900, 900, (30, 30)).astype(np.int16)
    report = [{"task": "report", "lang": k, "sentence": v} for k, v in texts]
    return dict(
        id=id, patient="", modality="CT", plane="axial", body_part="chest",
        image=packed.pack(pixels), texts=[*report, {"task": "vqa", "lang": "en", "question": "?"}],
    ) | fields  # fmt: skip


def embedded(model, *examples, batch_size=2):
    return images_lib.embed(
        images_lib.Data("phantom", "", "validation", list(examples)), model, batch_size
    )


def refused(capsys, *arguments, **options):
    """The one line of the error that a search ends with."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        search(*arguments, **options)
    assert stopped.value.code == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


def test_the_index_has_a_row_for_each_image_and_says_what_it_depends_on(place, model):
    source = core.load_source("phantom", "validation", place)
    table = pq.read_table(place / "index.parquet")
    assert table.schema.remove_metadata() == index.schema(16)
    assert table["image"].to_pylist() == [e["id"] for e in source]
    for row, one in zip(table.to_pylist(), source, strict=True):
        pixels = model.prepare(one)
        np.testing.assert_allclose(row["embedding"], model.embed_images(pixels[None])[0], atol=1e-6)
        assert abs(np.linalg.norm(row["embedding"]) - 1) < 1e-5
        reports = [(t["lang"], t["sentence"]) for t in one["texts"] if t["task"] == "report"]
        assert [(t["lang"], t["sentence"]) for t in row["texts"]] == reports
        assert (row["modality"], row["plane"]) == (one["modality"], one["plane"])
    said = {k.decode(): v.decode() for k, v in table.schema.metadata.items()}
    assert said["model_sha256"] == model.fingerprint and len(model.fingerprint) == 64
    assert said["tokenizer_sha256"] == model.tokenizer.fingerprint
    assert (said["dataset"], said["split"], said["images"]) == ("phantom", "validation", "5")
    assert said["data_sha256"] == core.identity(source)["sha256"] and said["dataset_version"]
    assert (said["image_size"], said["preprocessing"]) == ("28", model.preprocessing)
    assert said["checkpoint"] == "run, step 0" and said["made"].endswith("UTC")
    assert json.loads(said["rejects"]) == []


def test_a_second_search_reads_the_index_instead_of_embedding_again(place, capsys):
    path = place / "moved.parquet"
    held, about = index.read(place / "index.parquet", {})
    capsys.readouterr()
    search(place, f"--index={place / 'index.parquet'}")
    first = dict(found(capsys.readouterr().out))
    held.vectors = np.roll(held.vectors, 1, axis=0)  # Each image gets that of the one before.
    index.write(path, held, about)
    search(place, f"--index={path}")
    moved = dict(found(capsys.readouterr().out))
    names = [row.image for row in held.rows]
    assert [moved[n] for n in names] == [first[n] for n in names[-1:] + names[:-1]]


def test_equal_weights_have_an_equal_fingerprint_and_others_are_refused(place, capsys):
    path = place / "index.parquet"
    shutil.copytree(place / "run", place / "copy", dirs_exist_ok=True)
    search(place, f"--index={path}", run="copy")
    towers.write_run(place / "other", seed=1)
    line = refused(capsys, place, f"--index={path}", run="other")
    assert str(path) in line and "model_sha256" in line and "another file with --index" in line
    assert "preprocessing" not in line


def test_an_index_of_other_data_or_images_is_refused(place, capsys):
    path = place / "index.parquet"
    line = refused(capsys, place, f"--index={path}", data="phantom:test")
    assert "split is validation, and here test" in line and "model_sha256" not in line
    _, about = index.read(path, {})
    for name in ("preprocessing", "image_size", "data_sha256", "tokenizer_sha256"):
        index.read(path, about | {"made": "another day", "checkpoint": "another name"})
        with pytest.raises(ValueError, match=f"{name} is .*, and here changed"):
            index.read(path, about | {name: "changed"})


@pytest.mark.parametrize("damage", ["cut", "flipped", "other"])
def test_a_damaged_index_is_an_error_that_names_the_file(place, tmp_path, damage, capsys):
    path, content = tmp_path / "index.parquet", bytearray((place / "index.parquet").read_bytes())
    if damage == "flipped":
        content[200] ^= 1
    path.write_bytes({"cut": content[:-200], "flipped": content, "other": b"text"}[damage])
    line = refused(capsys, place, f"--index={path}")
    assert str(path) in line and "remove this one" in line


def test_an_image_is_nearest_to_itself_and_its_file_is_not_named(place, tmp_path, capsys):
    source = core.load_source("phantom", "validation", place)
    own = next(e for e in source if e["modality"] == "CT")
    np.save(tmp_path / f"{SECRET}.npy", packed.array(own["image"]))
    capsys.readouterr()
    options = (f"--image={tmp_path / SECRET}.npy", "--modality=CT", "--top=2")
    page = search(place, f"--index={place / 'index.parquet'}", *options, query="")
    said = capsys.readouterr()
    assert found(said.out)[0] == (own["id"], 1.0) and found(said.out)[1][1] < 1.0
    assert SECRET not in said.out + said.err
    assert SECRET not in (place / "out/search.html").read_text(encoding="utf-8")
    section = page.one("section", id="q0")
    assert len(section.all("article")) == 2 and "Image 1 (CT" in section.words
    assert section.all("div", "asked")[0].all("img")[0].get("src").startswith("data:image/png")


def test_equal_images_keep_the_order_of_the_data():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((9, 4)).astype(np.float32)
    vectors[[2, 5, 8]] = 2 * vectors[0]
    hits, median = queries.nearest(vectors[0], vectors, 4)
    assert [h.place for h in hits[:3]] == [2, 5, 8]
    all_, _ = queries.nearest(vectors[0], vectors, 99)
    assert sorted(h.place for h in all_) == list(range(9)) and all_[:4] == hits
    assert median == pytest.approx(np.median(vectors @ vectors[0]), abs=1e-5)


def test_a_text_is_read_as_the_texts_of_training_and_a_cut_is_said(place, model, capsys):
    kept, rest = "The  LIVER is large. The spleen is normal.", "No lesion in the left kidney."
    vector, left = model.embed_text(f"{kept} {rest * 3}")
    ids, cut = ops_caption.tokens(model.tokenizer, f"{kept} {rest * 3}", towers.LENGTH)
    assert cut and left == model.tokenizer.decode(ids, skip_special=True)
    assert left == "the liver is large. the spleen is normal."
    same, whole = model.embed_text(kept)
    assert whole is None
    np.testing.assert_allclose(vector, same, atol=1e-6)
    other, _ = model.embed_text(kept.removesuffix("."))  # Nothing is added to a query.
    assert np.abs(vector - other).max() > 0.01
    index_ = f"--index={place / 'index.parquet'}"
    page = search(place, index_, query=f"--query={kept} {rest * 3}")
    assert f"is cut to: “{left}”" in page.words
    assert f"“{left}”" in capsys.readouterr().err


def test_an_image_of_several_examples_is_embedded_once_with_all_its_sentences(model):
    one, two = (("en", "One."), ("de", "Eins.")), (("en", "One."), ("en", "Two."))
    first, again = example("a", 1, one), example("a", 1, two)
    for image in (first, again):
        del image["patient"]  # It is a field of the example.
    held = embedded(
        model,
        {"id": "s1", "patient": SECRET, "images": [first, first | {"id": "b"}]},
        {"id": "s2", "patient": SECRET, "images": [again]},
        example("c", 2, patient="other"),
        example("d", 3),
    )  # fmt: skip
    assert [(r.example, r.image, r.item, r.view) for r in held.rows] == [
        ("s1", "a", 0, 0), ("s1", "b", 0, 1), ("c", "c", 2, 0), ("d", "d", 3, 0),
    ]  # fmt: skip
    assert held.rows[0].texts == [*one, ("en", "Two.")]
    assert [r.subject for r in held.rows] == [0, 0, 1, 2]
    assert held.vectors.shape == (4, 16) and not held.rejects


def test_what_cannot_be_read_is_listed_and_counted(model, tmp_path):
    class Source(list):
        def __getitem__(self, i):
            if i == 1:
                raise OSError("the disk")
            return super().__getitem__(i)

    broken = example("broken", image=b"nothing", patient=SECRET)
    source = Source([example("a"), None, broken, example("b", 1, patient=SECRET)])
    held = images_lib.embed(images_lib.Data("phantom", "", "test", source), model, 4)
    assert [r.image for r in held.rows] == ["a", "b"] and held.vectors.shape == (2, 16)
    assert [(r["example"], r["image"]) for r in held.rejects] == [
        ("item 1", ""), ("broken", "broken"),
    ]  # fmt: skip
    assert held.rejects[0]["reason"] == "the disk" and "'load'" in held.rejects[1]["reason"]
    index.write(tmp_path / "i.parquet", held, {})
    again, _ = index.read(tmp_path / "i.parquet", {})
    assert again.rejects == held.rejects and again.rows == held.rows
    assert SECRET.encode() not in (tmp_path / "i.parquet").read_bytes()
    with pytest.raises(ValueError, match="no image of phantom test can be read.*'broken'"):
        images_lib.embed(images_lib.Data("phantom", "", "test", [broken]), model, 4)


def test_the_page_shows_each_query_with_its_images_and_sentences(place, tmp_path, capsys):
    held, about = index.read(place / "index.parquet", {})
    held.rows[3].texts[0] = ("en", HOSTILE)
    held.rejects = [dict(example="e", image=HOSTILE, error="ReadError", reason="cut off")]
    index.write(tmp_path / "index.parquet", held, about)
    capsys.readouterr()
    page = search(place, f"--index={tmp_path / 'index.parquet'}", "--query=Leber", "--top=99")
    said = capsys.readouterr()
    assert "--top=99: the data have 5 images, and all of them are shown" in said.err
    assert "\x1b" not in said.out + said.err and "cut off" in said.err
    assert "script" not in page.one("main").tags[:-1]
    assert all(a.startswith(("data:", "#q")) for a in page.addresses)
    assert "neither a probability nor a diagnosis" in page.words
    assert "run, step 0" in page.words and about["model_sha256"] in page.words
    sections = page.all("section")
    assert [s.one("h2").words for s in sections[:3]] == [
        "“liver”", "“Leber”", "Not searched: 1 that could not be read",
    ]  # fmt: skip
    printed = found(said.out)
    for section, mine in zip(sections[:2], (printed[:5], printed[5:]), strict=True):
        cards = section.all("article", "card")
        assert [c.one("code").words for c in cards] == [name for name, _ in mine]
        assert [float(c.one("b").words) for c in cards] == [s for _, s in mine]
        assert [s for _, s in mine] == sorted((s for _, s in mine), reverse=True)
        for card, (name, _) in zip(cards, mine, strict=True):
            (row,) = (r for r in held.rows if r.image == name)
            items = {(u.get("lang"), li.words) for u in card.all("ul") for li in u.all("li")}
            assert items == {(k, " ".join(s.split())) for k, s in row.texts}
            assert card.all("img")[0].get("src").startswith("data:image/png")


def test_the_page_fits_a_telephone_and_a_screen(place):
    search(place, f"--index={place / 'index.parquet'}")
    path = place / "out/search.html"
    layout, console = browser.look(path, 390, "return {n: page.querySelectorAll('.card').length}")
    assert layout["n"] == 5 and layout["width"] <= 390 and not layout["wide"] and not console


@pytest.mark.parametrize(
    "options, query, said",
    [
        ((), "", "give --query=TEXT or --image=FILE"),
        ((), "--query= ", "--query is empty"),
        (("--top=0",), "--query=liver", "--top=0: give a whole number from 1"),
        (("--frame=3",), "--query=liver", "--frame says how --image is read"),
        (("--image={place}",), "", "this is a folder"),
        (("--image={place}/no.dcm",), "", "no.dcm"),
        (("--image={place}/index.parquet",), "", "neither DICOM"),
    ],
)
def test_options_that_do_not_fit_are_one_line_of_error(place, capsys, options, query, said):
    options = [x.format(place=place) for x in options]
    assert said in refused(capsys, place, *options, query=query)


def test_a_slice_of_a_volume_has_to_be_named(place, tmp_path, capsys):
    path = tmp_path / "volume.nii.gz"
    pixels = np.random.default_rng(0).integers(-900, 900, (30, 30, 4)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(pixels, np.eye(4)), path)
    options = (f"--image={path}", "--modality=CT", f"--index={place / 'index.parquet'}")
    assert "(option --frame" in refused(capsys, place, *options, query="")
    page = search(place, *options, "--frame=2", query="")
    assert page.one("section", id="q0").one("h2").words == "Image 1 (slice 2, CT, axial)"


@pytest.mark.parametrize(
    "data, said",
    [
        ("phantom", "give NAME:SPLIT"),
        ("phantom:train[:0]", "no example"),
        ("nothing:test", "no dataset named 'nothing'"),
        ("phantom:other", "no split 'other'"),
        ("phantom/full:test", "build_dataset phantom --config=full"),
    ],
)
def test_data_that_cannot_be_opened_are_one_line_of_error(place, capsys, data, said):
    assert said in refused(capsys, place, data=data)


def test_a_run_without_two_towers_is_refused_with_a_remedy(place, capsys):
    tiny_run.mask_checkpoint(place / "radgrounder")
    line = refused(capsys, place, run="radgrounder")
    assert "radgrounder is a radgrounder" in line and "configs/siglip_refrad2d.py" in line
    (place / "empty").mkdir()
    for run, why in (("nothing", "does not exist"), ("empty", "is an empty folder")):
        line = refused(capsys, place, run=run)
        assert why in line and "a run of configs/siglip_refrad2d.py, or a SigLIP" in line
