"""Evaluates whether two towers find the text of an image, and the image of a text.

The gallery has one image of each patient. A text counts as found if it is equal to the text of the
image, also where it is that of another image: many sentences of reports are the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from big_rad.evaluators import embedded
from big_rad.evaluators import samples as sample_files
from big_rad.evaluators import spec as spec_lib
from big_rad.evaluators.records import Record
from big_rad.metrics import retrieval
from big_rad.training import contrastive

KS = (1, 5, 10)
_WAYS = {"text": "the text of an image", "image": "the image of a text"}
_CHANCE = 10  # The k whose level by chance is yielded.


class Evaluator(embedded.Embedded):
    """Ranks all texts for each image and all images for each text; see `embedded.Embedded`.

    For k in 1, 5 and 10, `run` yields `r{k}_text`, the share of images whose text is among the k
    most similar texts, and `r{k}_image`, the share of texts whose image is among the k most similar
    images. `chance_r10_text` and `chance_r10_image` are what a search at random would have for
    k = 10. `n` is the number of pairs, which is the number of patients.
    """

    scores = (
        *(
            score
            for way, said in _WAYS.items()
            for score in (
                *(spec_lib.Score(f"r{k}_{way}", f"R@{k}, {said}") for k in KS[:-1]),
                spec_lib.Score(
                    f"r{_CHANCE}_{way}", f"R@{_CHANCE}, {said}", chance=f"chance_r{_CHANCE}_{way}"
                ),
                spec_lib.Score(
                    f"chance_r{_CHANCE}_{way}", f"R@{_CHANCE} by chance, {said}", count=True
                ),
            )
        ),
        spec_lib.Score("n", count=True),
    )
    main = ("r10_text", "r10_image")
    titles = {"retrieval_en": "Search, English", "retrieval_de": "Search, German"}
    place = 40

    def run(self, params: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
        """Computes the scores, writes the samples files and yields (name of a score, value)."""
        gallery = self.gallery()
        items = [self.data[i] for i in gallery]
        image = self.images(params, gallery)
        text = self.texts(params, [x["text"] for x in items])
        keys = {k: np.stack([x[k] for x in items]) for k in contrastive.KEY_FIELDS}
        right = np.asarray(contrastive.positives(keys, keys))  # [image, text]
        close = embedded.similarity(image, text)
        similarity = {"text": close, "image": close.T}
        answers = {"text": right, "image": right.T}
        found = {
            f"r{k}_{way}": retrieval.hit_at(similarity[way], answers[way], min(k, len(gallery)))
            for way in _WAYS
            for k in KS
        }
        nearest = close.argmax(axis=1)
        records = [
            self.record(
                i,
                n,
                prompt=f"Which of {len(gallery)} texts is nearest to the image?",
                reference=items[n]["reference"],
                prediction=items[nearest[n]]["reference"],
                scores={k: float(x[n]) for k, x in found.items()},
            )
            for n, i in enumerate(gallery)
        ]
        self.finish(records)
        yield from ((name, float(x.mean())) for name, x in found.items())
        for way in _WAYS:
            chance = retrieval.chance(answers[way], min(_CHANCE, len(gallery)))
            yield f"chance_r{_CHANCE}_{way}", float(chance.mean())
        yield "n", len(gallery)

    @classmethod
    def groups(cls, records: Sequence[Record]) -> dict[str, list[Record]]:
        """Returns samples to show: the worst and the best by the first text, and random ones."""
        return sample_files.choose(records, "r1_text")
