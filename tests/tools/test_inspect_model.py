import pathlib
import re
import resource

import ml_collections
import pytest

from big_rad.pp import tokenizer
from big_rad.training import memory
from tools import inspect_model

RECIPE = str(pathlib.Path(__file__).parents[2] / "configs" / "radgrounder_det.py")
GIB = 2**30


def run(capsys, *args):
    inspect_model.main(args)
    return capsys.readouterr().out


def cells(text, first):
    """Returns the cells of the table line that begins with a name, without commas in numbers."""
    (line,) = [x for x in text.splitlines() if re.match(rf"\| {re.escape(first)} +\|", x)]
    return [c.strip().replace(",", "") for c in line.split("|")[1:-1]]


def peak_of(out):
    """Returns the printed text, and the predicted peak in GiB that its table has."""
    (peak,) = [float(c.split("|")[4]) for c in out.splitlines() if c.startswith("| peak ")]
    return out, peak


def test_the_original_3b_has_the_totals_of_the_published_checkpoint(capsys):
    out = run(capsys, "--variant=3b", "--size=224")
    assert cells(out, "all")[1] == "3032094960"
    assert cells(out, "img")[1] == "415098864"
    assert cells(out, "llm")[1] == "2616996096"
    assert cells(out, "img/head")[1] == str(1152 * 2304 + 2304)
    assert "(1, 256, 1152)" in out and "(257152, 2304)" in out


def test_the_size_decides_the_position_embedding(capsys):
    assert "(1, 1024, 1152)" in run(capsys, "--variant=3b", "--size=448")


def test_the_memory_of_the_full_recipe_without_allocating_any_of_it(capsys):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    out = run(capsys, f"--config={RECIPE}")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * 1024 < 0.5 * GIB
    # The markup tokens add one block of 128 rows to the token table.
    head, llm, table = 1152 * 2304 + 2304, 2_616_996_096, 128 * 2304
    frozen = 415_098_864 - head
    trained = head + llm + table
    assert cells(out, "weights, trained")[1:3] == ["float32", str(trained)]
    assert cells(out, "weights, frozen")[1:3] == ["bfloat16", str(frozen)]
    assert cells(out, "gradients")[2] == str(trained)
    assert cells(out, "gradients, summed over microbatches")[2] == str(trained)
    assert float(cells(out, "weights, frozen")[3]) == pytest.approx(2 * frozen / GIB, abs=1e-3)
    assert cells(out, "img")[1:] == ["415098864", str(head)]
    _, peak = peak_of(out)
    kept = float(cells(out, "kept for the backward pass")[3])
    assert peak > kept + (3 * 4 * trained + 2 * frozen) / GIB and kept > 10


def test_any_field_can_be_overridden_and_the_optimizer_state_follows(capsys):
    args = (f"--config={RECIPE}:variant=tiny,data=phantom,size=112", "--config.optimizer=adamw")
    out = run(capsys, *args, "--config.image.size=56")
    lines = [line.split("|") for line in out.splitlines() if "optimizer state (adamw)" in line]
    sizes = {line[2].strip(): int(line[3].replace(",", "")) for line in lines}
    assert sizes["float32"] == 2 * int(cells(out, "weights, trained")[2])
    assert "(1, 16, 96)" in out
    assert "summed over microbatches" not in out


def test_a_card_that_is_too_small_gets_changes_that_make_it_fit(capsys):
    tiny = f"--config={RECIPE}:variant=tiny,data=phantom,size=112"
    rows = ("--config.input.batch_size=64", "--config.model.llm.depth=16")
    (_, peak) = peak_of(run(capsys, tiny, *rows, "--card=80"))
    card = 0.5 * peak / memory.USABLE
    out, _ = peak_of(run(capsys, tiny, *rows, f"--card={card}"))
    line = next(x for x in out.splitlines() if x.startswith("the same recipe: fits with"))
    changes = re.findall(r"--config\S+", line)
    assert changes
    out, less = peak_of(run(capsys, tiny, *rows, *changes, f"--card={card}"))
    assert less <= 0.5 * peak and "it fits" in out


def test_a_card_that_is_too_small_for_a_single_row_is_said(capsys):
    tiny = f"--config={RECIPE}:variant=tiny,data=phantom,size=112"
    out = run(capsys, tiny, "--card=0.001")
    assert "the same recipe: does not fit" in out


def test_two_towers_get_microbatches_and_no_adapters(capsys):
    recipe = "--config=configs/siglip_refrad2d.py:variant=tiny,data=phantom,batch=32"
    out = run(capsys, recipe, "--card=0.2")
    assert "the same recipe: fits with --config.grad_accum=" in out
    assert "adapters" not in out and "| txt/Embed_0/embedding" in out


def test_the_table_has_the_rows_of_the_tokenizer_or_of_paligemmas_if_it_is_missing():
    tiny = ml_collections.ConfigDict(dict(path="tiny", sets=("detection",)))
    rows, remark = inspect_model.table_rows(tiny)
    assert rows == tokenizer.load("tiny", ("detection",)).padded_vocab_size and not remark
    missing = ml_collections.ConfigDict(dict(path="nowhere.model", sets=("detection",)))
    rows, remark = inspect_model.table_rows(missing)
    assert rows == 257280 and "no tokenizer file nowhere.model" in remark


@pytest.mark.parametrize(
    "args, message",
    [
        ([], "either --config or --variant"),
        (["--variant=3b", f"--config={RECIPE}"], "either --config or --variant"),
        (["--variant=3b", "x"], "not .*'x'"),
        (["--variant=5b"], "tiny.*3b"),
        ([f"--config={RECIPE}:siez=3"], "'siez': unknown; known: variant"),
        ([f"--config={RECIPE}", "--config.lrr=3"], "no field 'lrr'; .*did you mean 'lr'"),
        (["--config=nowhere.py"], "nowhere.py"),
    ],
)
def test_wrong_arguments_are_one_error_with_exit_code_2(capsys, args, message):
    with pytest.raises(SystemExit) as e:
        inspect_model.main(args)
    assert e.value.code == 2
    assert re.search(message, capsys.readouterr().err)


def test_help_shows_the_commands(capsys):
    assert "--variant=3b --size=224" in run(capsys, "--help")
