"""What a start may change of a run that it goes on from.

A run is what it was trained with: going on with another seed, batch size or data skips some items
and shows others twice, and another model or optimizer is another run. Such changes are refused
unless they are asked for; those of lengths, rates, logging, evaluation and machines go through. All
of them are written into run.json.
"""

import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import ml_collections

from big_rad.config import defaults
from big_rad.config import recipes as config_lib
from big_rad.config.defaults import Config
from big_rad.pp import tokenizer as tokenizers
from big_rad.workdir import checkpoint, run_dir
from big_rad.workdir.info import TrainingError

Changes = dict[str, tuple[Any, Any]]  # "config.seed" -> (old, new)
# What a checkpoint must be used with.
_IDENTITY = ("model_name", "model", "tokenizer", "codec", "image", "text")
_FIXED = (*_IDENTITY, "seed", "optimizer", "optimizer_args", "optimizer_state_dtype", "grad_accum")
_FREE_OF_INPUT = ("num_threads", "num_workers", "prefetch", "max_reject_share")
_SAME_ORDER = ("batch_size", "buckets", "bucket_window")  # of `input`; and `pp` of its datasets
_SHOWN, _LONG = 8, 160


class Past:
    """The run that is in a run directory, compared with a config.

    Args:
        config: of the new start, checked already.
        workdir: the run directory.
        allow: let all changes through.
        log: receives what has changed.

    Attributes:
        step: of the newest checkpoint, 0 without one.
        changes: name -> (old, new) of all that has changed.

    Raises:
        TrainingError: something has changed that makes it another run, and `allow` is False.
    """

    def __init__(
        self,
        config: Config,
        workdir: str | pathlib.Path,
        allow: bool = False,
        log: Callable[[str], None] = print,
    ):
        self._workdir, self._allow, self._log = workdir, allow, log
        self._new = _plain(config)
        found = checkpoint.newest_meta(workdir)
        self.step, self._meta = found if found else (0, {})
        self._old = _plain(self._meta["config"]) if found else _unsaved(workdir)
        self.changes: Changes = {}
        if self._old:
            self._note(_settings(self._old, self._new, self._meta, bool(found)))

    def check_data(self, identity: Mapping[str, Mapping[str, Any]]) -> None:
        """Compares the built data with those that the checkpoint was trained on.

        Args:
            identity: dataset -> `items` and `sha256`, see `datasets.core.identity`.

        Raises:
            TrainingError: they are others, and that is not allowed.
        """
        old, found = self._meta.get("data") or {}, {}
        for name in old.keys() & identity.keys():
            if old[name] != dict(identity[name]):
                found[f"data {name}"] = (_described(old[name]), _described(identity[name]))
        self._note(found)

    def position(self, state: Mapping[str, int], examples_per_epoch: int) -> dict[str, int]:
        """Returns where the data go on, and says how many items are skipped or seen twice.

        Args:
            state: the checkpoint's position, see `input_pipeline.BatchIterator`.
            examples_per_epoch: of the data now.
        """
        moving = [n for n in self.changes if _moves(n)]
        if not moving:
            return dict(state)
        old, new = (_filled(x)["input"] for x in (self._old, self._new))
        seen = state["next_index"] * old["batch_size"]
        if all(_keeps_order(n) for n in moving):
            # Within a window, items are dealt to batches in an order of its own.
            window, later = (x["bucket_window"] if x["buckets"] else 1 for x in (old, new))
            whole = state["next_index"] // window * window * old["batch_size"]
            index = whole // (later * new["batch_size"]) * later
            twice = seen - index * new["batch_size"]
        else:  # Another order, from its first item: the epoch under way counts as unseen.
            index, twice = 0, seen % max(examples_per_epoch, 1)
        self._log(
            f"data: {seen} items were seen in {state['next_index']} batches of "
            f"{old['batch_size']}; they go on with batch {index} of {new['batch_size']}: 0 items "
            f"are skipped, {twice} are seen twice"
        )
        return {"next_index": index}

    def _note(self, found: Changes) -> None:
        refused = {n: x for n, x in found.items() if self._refuses(n)}
        if refused and not self._allow:
            lines = "".join(f"\n  {n} was {_pair(*x)}" for n, x in refused.items())
            raise TrainingError(
                f"{self._workdir} holds a run (step {self.step}) that was trained with other "
                f"settings:{lines}\nGo on with the old values, choose another --workdir, or pass "
                "--allow_changes to go on with the new ones."
            )
        self.changes |= found
        for name, values in list(found.items())[:_SHOWN]:
            self._log(f"changed since step {self.step}: {name} was {_pair(*values)}")
        if len(found) > _SHOWN:
            self._log(f"and {len(found) - _SHOWN} changes more, which run.json lists")

    def _refuses(self, name: str) -> bool:
        field = name.removeprefix("config.").split(".")
        if name.startswith("data ") or field[0] in _FIXED:
            return True
        return field[0] == "input" and field[1] not in _FREE_OF_INPUT


def _unsaved(workdir: str | pathlib.Path) -> dict[str, Any]:
    # Before the first checkpoint nothing is lost by a change, but for what the directory's own
    # files say of the model.
    path = pathlib.Path(workdir) / "config.json"
    if not path.exists() or not run_dir.has_checkpoints(workdir):
        return {}
    old = _plain(config_lib.from_json(path.read_text(encoding="utf-8")))
    return {n: old[n] for n in _IDENTITY if n in old}


def _settings(
    old: Mapping[str, Any], new: Mapping[str, Any], meta: Mapping[str, Any], saved: bool
) -> Changes:
    # Top-level fields that only one side has came or went with a version of the code. In sections,
    # a field that an older version lacked had the default.
    known = _filled(old) | {n: old[n] for n in ("input",) if n in old}
    both = [n for n in old if n in new and (saved or n in _IDENTITY)]
    found: Changes = {}
    for name in both:
        found |= dict(_differences(f"config.{name}", known[name], new[name], depth=1))
    tokenizer = meta.get("tokenizer")
    if tokenizer:
        spec = new["tokenizer"]
        now = tokenizers.load(spec["path"], tuple(spec["sets"])).fingerprint
        paths = [repr(x["tokenizer"]["path"]) for x in (old, new)]
        if now == tokenizer:  # The same one, wherever its file is now.
            found.pop("config.tokenizer.path", None)
            found = {
                n: x
                for n, x in found.items()
                if not n.endswith(".pp") or x[0].replace(paths[0], "") != x[1].replace(paths[1], "")
            }
        elif "config.tokenizer.path" not in found and "config.tokenizer.sets" not in found:
            found["config.tokenizer.path"] = (f"sha256 {tokenizer[:12]}", f"sha256 {now[:12]}")
    return found


def _differences(
    name: str, old: object, new: object, depth: int
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        if old != new:
            yield name, (old, new)
        return
    for key in [*old, *(k for k in new if k not in old)]:
        # A setting of the input that was not there is of a newer version; a dataset is not.
        newer = name == "config.input" and depth == 1 and not isinstance(new.get(key), Mapping)
        if newer and (key not in old or key not in new):
            continue
        yield from _differences(f"{name}.{key}", old.get(key), new.get(key), depth + 1)


def _moves(name: str) -> bool:
    # Whether a change can move the position in the data.
    field = name.removeprefix("config.").split(".")
    if name.startswith("data ") or field[0] == "seed":
        return True
    return field[0] == "input" and field[1] not in _FREE_OF_INPUT


def _keeps_order(name: str) -> bool:
    field = name.removeprefix("config.").split(".")
    return field[0] == "input" and (field[1] in _SAME_ORDER or field[-1] == "pp")


def _plain(config: Config) -> dict[str, Any]:
    return config_lib.from_json(config_lib.to_json(config)).to_dict()


def _filled(config: Mapping[str, Any]) -> dict[str, Any]:
    return defaults.filled(ml_collections.ConfigDict(config)).to_dict()


def _described(identity: Mapping[str, Any]) -> str:
    digest = identity.get("sha256")
    return f"{identity.get('items')} items" + (f" (sha256 {digest[:12]})" if digest else "")


def _pair(old: object, new: object) -> str:
    # Of preprocessing only the ops that differ.
    if isinstance(old, str) and isinstance(new, str) and "|" in old + new:
        ours, theirs = old.split("|"), new.split("|")
        old, new = (
            "|".join(p for p in a if p not in b) or "the same ops in another order"
            for a, b in ((ours, theirs), (theirs, ours))
        )
    shown = [repr(x) if not isinstance(x, str) else x for x in (old, new)]
    shown = [x if len(x) <= _LONG else x[: _LONG - 3] + "..." for x in shown]
    return f"{shown[0] or repr('')}, now {shown[1] or repr('')}"
