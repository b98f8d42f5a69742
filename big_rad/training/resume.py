"""Decides which settings may change when a run is resumed.

With another seed, batch size or data, a resumed run would skip some examples and see others twice,
and with another model or optimizer it would be another run. Such changes are an error unless
`--allow_changes` is given. The length of the run, the learning rate, logging, evaluation and
machines may change freely. All changes are recorded in run.json.
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

Changes = dict[str, tuple[Any, Any]]  # From a name such as "config.seed" to (old, new).
# The fields that a checkpoint must be used with.
_IDENTITY = ("model_name", "model", "tokenizer", "codec", "image", "text")
_FIXED = (*_IDENTITY, "seed", "optimizer", "optimizer_args", "optimizer_state_dtype", "grad_accum")
_FREE_OF_INPUT = ("num_threads", "num_workers", "prefetch", "max_reject_share")
# Fields of `input` that leave the order of the items as it is; `pp` of a dataset does so too.
_SAME_ORDER = ("batch_size", "buckets", "bucket_window")
_SHOWN, _LONG = 8, 160


class Past:
    """The earlier part of the run in a run directory, compared with the config of a new start.

    Args:
        config: the config of the new start, after `config_check.check`.
        workdir: the run directory.
        allow: whether to accept changes that make it another run.
        log: receives the changes.

    Attributes:
        step: the step of the newest checkpoint; 0 if there is no checkpoint.
        changes: a dict from the name of each changed setting to (old, new).

    Raises:
        TrainingError: A setting that makes it another run has changed, and `allow` is False.
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
            identity: a dict from each dataset to its `items` and `sha256`, see
                `datasets.core.identity`.

        Raises:
            TrainingError: A dataset has changed, and `allow` is False.
        """
        old, found = self._meta.get("data") or {}, {}
        for name in old.keys() & identity.keys():
            if old[name] != dict(identity[name]):
                found[f"data {name}"] = (_described(old[name]), _described(identity[name]))
        self._note(found)

    def position(self, state: Mapping[str, int], examples_per_epoch: int) -> dict[str, int]:
        """Returns the position at which the data go on, and logs how many examples are seen twice.

        If only the batch size or the buckets have changed, the position is moved back to the last
        batch of the new size that starts at or before the first unseen example, so that no example
        is skipped. For example, after 3 batches of 8, the first 24 examples were seen; with batches
        of 10 the data go on with batch 2, at example 20, and 4 examples are seen twice. If the
        order of the examples has changed, the data start again at the first example. The log calls
        an example an item.

        Args:
            state: the checkpoint's position, see `input_pipeline.BatchIterator`.
            examples_per_epoch: the number of examples of the present data in an epoch.
        """
        moving = [n for n in self.changes if _moves(n)]
        if not moving:
            return dict(state)
        old, new = (_filled(x)["input"] for x in (self._old, self._new))
        seen = state["next_index"] * old["batch_size"]
        if all(_keeps_order(n) for n in moving):
            # Buckets sort the examples of a window, so the position only moves between windows.
            window, later = (x["bucket_window"] if x["buckets"] else 1 for x in (old, new))
            whole = state["next_index"] // window * window * old["batch_size"]
            index = whole // (later * new["batch_size"]) * later
            twice = seen - index * new["batch_size"]
        else:  # The order is another one, so the present epoch starts again at its first example.
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
    # Returns the fields to compare if there is no checkpoint yet. No training would be lost by a
    # change, but the directory already has files that describe the model, which must stay true.
    path = pathlib.Path(workdir) / "config.json"
    if not path.exists() or not run_dir.has_checkpoints(workdir):
        return {}
    old = _plain(config_lib.from_json(path.read_text(encoding="utf-8")))
    return {n: old[n] for n in _IDENTITY if n in old}


def _settings(
    old: Mapping[str, Any], new: Mapping[str, Any], meta: Mapping[str, Any], saved: bool
) -> Changes:
    # A top-level field that only one of the configs has was added or removed by another version of
    # the code, and is not compared. A field that is missing in a section of the old config had its
    # default value; the fields of `input` are compared as they are, see `_differences`.
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
        if now == tokenizer:  # Another path is no change if the tokenizer is the same.
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
        # A setting of `input` that only one side has belongs to another version of the code; a
        # dataset that only one side has was added or removed by the user.
        newer = name == "config.input" and depth == 1 and not isinstance(new.get(key), Mapping)
        if newer and (key not in old or key not in new):
            continue
        yield from _differences(f"{name}.{key}", old.get(key), new.get(key), depth + 1)


def _moves(name: str) -> bool:
    # Returns whether a change can move the position in the data.
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
    # Describes a change in words; of two preprocessing strings it shows only the ops that differ.
    if isinstance(old, str) and isinstance(new, str) and "|" in old + new:
        ours, theirs = old.split("|"), new.split("|")
        old, new = (
            "|".join(p for p in a if p not in b) or "the same ops in another order"
            for a, b in ((ours, theirs), (theirs, ours))
        )
    shown = [repr(x) if not isinstance(x, str) else x for x in (old, new)]
    shown = [x if len(x) <= _LONG else x[: _LONG - 3] + "..." for x in shown]
    return f"{shown[0] or repr('')}, now {shown[1] or repr('')}"
