"""Turns names of organs into classes and questions, and joins the answers to these questions.

    organs(["Leber", "kidneys"])  # The classes of the liver and of both kidneys.
    detect_question("Leber", "en")  # "Detect: liver."

The names may be English or German.
"""

import dataclasses
from collections.abc import Sequence

from big_rad.grounding import classes
from big_rad.inference.confidence import Confidence
from big_rad.inference.predictions import Prediction

_QUESTIONS = {"en": "Detect: {}.", "de": "Detektiere: {}."}


def organs(names: Sequence[str]) -> list[classes.AnatomyClass]:
    """Returns the classes that names of organs ask for, each class once, in the order of the names.

    Args:
        names: the names in English or German. A name that means several classes ("kidneys",
            "Nieren", "kidney") gives all of them.

    Raises:
        ValueError: a name means no class.
    """
    found: dict[int, classes.AnatomyClass] = {}
    for name in names:
        meant = classes.lookup_all(name)
        if not meant:
            raise ValueError(
                f"organ {name!r} is none of the {classes.NUM_CLASSES} classes, in English or "
                "German; for anything else give a whole question"
            )
        found |= {c.id: c for c in meant}
    return list(found.values())


def detect_question(organ: str, lang: str = "en") -> str:
    """Returns the question of the training data about one organ.

    Args:
        organ: the name of a class in English or German; another text is put in as it is.
        lang: the language of the question, "en" or "de".
    """
    known = classes.lookup(organ)
    name = getattr(known, lang) if known is not None else organ
    return _QUESTIONS[lang].format(name)


def join_answers(
    wanted: Sequence[classes.AnatomyClass], answers: Sequence[Prediction], lang: str
) -> Prediction:
    """Joins the answers about several organs of one image into one prediction.

    Args:
        wanted: the organs that were asked for.
        answers: the answer about each organ.
        lang: the language of the warnings' organ names, "en" or "de".

    Returns:
        The texts, entities and tokens of all answers, with a warning for each answer that marks
        only other organs than the one it was asked for.
    """
    others = [_other_organs(c, p, lang) for c, p in zip(wanted, answers, strict=True)]
    warnings = dict.fromkeys(w for p in answers for w in p.warnings)
    joined = Prediction(
        text="; ".join(p.text for p in answers),
        entities=tuple(e for p in answers for e in p.entities),
        logprob=sum(p.logprob for p in answers),
        raw="; ".join(p.raw for p in answers),
        tokens=sum(p.tokens for p in answers),
        turned=answers[0].turned,
        warnings=(*warnings, *filter(None, others)),
        changed=sum(p.changed for p in answers),
        details=tuple(d for p in answers for d in p.details),
    )
    mean = joined.answer_score or 0.0
    whole = Confidence("text", {"mean_token": mean}, mean)
    return dataclasses.replace(joined, confidence=whole)


def _other_organs(asked: classes.AnatomyClass, answer: Prediction, lang: str) -> str:
    # A warning if the answer about one organ marks only other organs, else "".
    named = {e.class_id: e.class_name or e.phrase for e in answer.entities}
    if not named or asked.id in named:
        return ""
    return f"asked for {getattr(asked, lang)}, and the answer marks {', '.join(named.values())}"
