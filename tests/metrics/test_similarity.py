import unicodedata

import numpy as np
import pytest

from big_rad.metrics import similarity


def test_the_lexicon_knows_both_languages_synonyms_and_groups():
    ours = ["left kidney", "kidneys", "cyst", " Cyst"]
    theirs = ["linke Niere", "Niere links", "right kidney", "cyst"]
    want = [[1, 1, 0, 0], [0.5, 0.5, 0.5, 0], [0, 0, 0, 1], [0, 0, 0, 1]]
    np.testing.assert_array_equal(similarity.lexicon(ours, theirs), want)
    assert similarity.lexicon([], ["liver"]).shape == (0, 1)
    for phrase in ("Schilddrüse", "Öffnung"):  # The first is in the lexicon.
        apart = unicodedata.normalize("NFD", phrase)
        assert similarity.lexicon([apart], [phrase]) == 1
        assert similarity.plain(apart) == phrase.lower()


def test_cosine_of_vectors_by_hand():
    vectors = {"liver": [2, 0], "leber": [1, 1], "spleen": [0, -3], "nothing": [0, 0]}
    alike = similarity.cosine(vectors, "toy")
    assert alike.__name__ == "embedding:toy"
    got = alike(["Liver", "spleen"], ["liver", " Leber "])
    np.testing.assert_allclose(got, [[1, 0.5**0.5], [0, -(0.5**0.5)]], atol=1e-12)
    with pytest.raises(ValueError, match="no vector for 'kidney'.*toy"):
        alike(["kidney"], ["liver"])
    with pytest.raises(ValueError, match="zeros: 'nothing'"):
        alike(["nothing"], ["liver"])


def test_vectors_are_read_from_a_file(tmp_path):
    path = tmp_path / "vectors.npz"
    np.savez(path, phrases=["Leber", "liver"], vectors=np.eye(2))
    assert similarity.cosine(similarity.read_vectors(path), "x")(["leber"], ["liver"]) == 0
    np.savez(path, phrases=["Leber"], vectors=np.eye(2))
    with pytest.raises(ValueError, match="vectors.npz: `phrases` has shape"):
        similarity.read_vectors(path)
    path.write_bytes(b"no")
    with pytest.raises(ValueError, match="is not a file of vectors"):
        similarity.read_vectors(path)
