import threading

import pytest

from big_rad.annotate.store import Store

KEY = "ab" * 32


def test_a_result_is_there_whole_or_not_at_all(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(RuntimeError), store.writing("items", KEY) as folder:
        (folder / "half").write_text("x")
        raise RuntimeError
    assert not store.has("items", KEY)
    with store.writing("items", KEY) as folder:
        (folder / "whole").write_text("x")
        assert not store.has("items", KEY)
    assert [p.name for p in store.folder("items", KEY).iterdir()] == ["whole"]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_two_workers_with_the_same_result_do_not_disturb_each_other(tmp_path):
    store, barrier, errors = Store(tmp_path), threading.Barrier(4), []

    def work():
        try:
            with store.writing("items", KEY) as folder:
                (folder / "same").write_text("x")
                barrier.wait()
        except Exception as e:
            errors.append(e)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert errors == []
    assert [p.read_text() for p in store.folder("items", KEY).iterdir()] == ["x"]


def test_a_damaged_note_counts_as_missing(tmp_path):
    store = Store(tmp_path)
    assert store.note("digests", KEY) is None
    store.write_note("digests", KEY, {"a": 1})
    assert store.note("digests", KEY) == {"a": 1}
    (tmp_path / "digests" / KEY[:2] / f"{KEY}.json").write_text('{"a"')
    assert store.note("digests", KEY) is None
