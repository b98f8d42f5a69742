import numpy as np
import pytest

from big_rad.evaluators.judges import embeddings
from big_rad.metrics import similarity
from tests.helpers import judge_server


@pytest.fixture
def served():
    with judge_server.running() as (url, server):
        yield url, server


def embed(url, file, *phrases, model="toy", **options):
    return embeddings.embed(phrases, url, model, file, wait=0.01, timeout=1.0, **options)


def letters(phrase):
    return [phrase.count(c) + 0.01 for c in "abcdefghijklmnopqrstuvwxyz"]


def test_each_phrase_gets_its_own_vector_whatever_the_order_of_the_reply(served, tmp_path):
    url, server = served
    phrases = [f"phrase {chr(97 + i % 26) * (i // 26 + 1)}" for i in range(100)]
    found = embed(url, tmp_path / "v.npz", *phrases, " Leber ", "leber", "")
    assert len(found) == 101 and len(server.bodies) == 2
    for phrase in (*phrases, "leber"):
        np.testing.assert_allclose(found[phrase], letters(phrase), rtol=1e-6)
    assert {b["model"] for b in server.bodies} == {"toy"}


def test_vectors_are_kept_and_only_new_phrases_are_asked_for(served, tmp_path):
    url, server = served
    file = tmp_path / "new" / "v.npz"
    embed(url, file, "liver", "spleen")
    assert embed(url, file, "Liver").keys() == {"liver", "spleen"} and len(server.bodies) == 1
    embed(url, file, "liver", "aorta")
    assert server.bodies[-1]["input"] == ["aorta"]
    kept = similarity.read_vectors(file)
    assert kept.keys() == {"aorta", "liver", "spleen"}
    np.testing.assert_allclose(kept["aorta"], letters("aorta"), rtol=1e-6)


@pytest.mark.parametrize("trouble", ["429", "500", "no json", "empty", "slow"])
def test_an_endpoint_that_fails_once_is_asked_again(served, tmp_path, trouble):
    url, server = served
    server.trouble["liver"] = [trouble]
    assert "liver" in embed(url, tmp_path / "v.npz", "liver")
    assert len(server.bodies) == 2


def test_phrases_that_cannot_be_had_are_an_error_and_the_others_are_kept(served, tmp_path):
    url, server = served
    phrases = [f"a{i:03d}" for i in range(64)] + ["zzz"]
    server.trouble["zzz"] = ["500"] * 9
    with pytest.raises(ValueError, match=r"no vector for 1 of 65 phrases \(HTTP 500\); the others"):
        embed(url, tmp_path / "v.npz", *phrases)
    assert len(similarity.read_vectors(tmp_path / "v.npz")) == 64
    server.trouble.clear()
    assert "zzz" in embed(url, tmp_path / "v.npz", *phrases)
    assert server.bodies[-1]["input"] == ["zzz"]


@pytest.mark.parametrize("url", ["http://localhost:port/v1", "localhost/v1", ""])
def test_what_is_no_address_is_an_error(url, tmp_path):
    with pytest.raises(ValueError, match="is no address; give one such as"):
        embed(url, tmp_path / "v.npz", "liver")


def test_vectors_of_two_models_are_not_mixed(served, tmp_path):
    url, _ = served
    embed(url, tmp_path / "v.npz", "liver")
    with pytest.raises(ValueError, match=r"v.npz holds vectors of toy, and other is asked for"):
        embed(url, tmp_path / "v.npz", "spleen", model="other")
