"""Organs to ask for: their names in either language, and the question about one of them."""

from collections.abc import Sequence

from big_rad.grounding import classes
from big_rad.inference.predictions import Prediction

_QUESTIONS = {"en": "Detect: {}.", "de": "Detektiere: {}."}


def organs(names: Sequence[str]) -> list[classes.AnatomyClass]:
    """Returns the classes that names of organs ask for, each once, in order.

    Args:
        names: in English or German. One that means several classes ("kidneys", "Nieren", "kidney")
            gives all of them.

    Raises:
        ValueError: a name that means none.
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
    """Returns the training data's question for an organ named in either language."""
    known = classes.lookup(organ)
    name = getattr(known, lang) if known is not None else organ
    return _QUESTIONS[lang].format(name)


def join_answers(
    wanted: Sequence[classes.AnatomyClass], answers: Sequence[Prediction], lang: str
) -> Prediction:
    """Returns the answers about several organs of one image as one prediction.

    Args:
        wanted: the organs that were asked for.
        answers: what was answered about each.
        lang: "en" or "de".

    Returns:
        Texts, entities and tokens of all, with a warning for each answer that marks other organs
        than the one that it was asked for.
    """
    others = [_other_organs(c, p, lang) for c, p in zip(wanted, answers, strict=True)]
    return Prediction(
        text="; ".join(p.text for p in answers),
        entities=tuple(e for p in answers for e in p.entities),
        logprob=sum(p.logprob for p in answers),
        raw="; ".join(p.raw for p in answers),
        tokens=sum(p.tokens for p in answers),
        turned=answers[0].turned,
        warnings=(*answers[0].warnings, *filter(None, others)),
    )


def _other_organs(asked: classes.AnatomyClass, answer: Prediction, lang: str) -> str:
    # Says that an answer about one organ points at others alone; "" if it does not.
    named = {e.class_id: e.class_name or e.phrase for e in answer.entities}
    if not named or asked.id in named:
        return ""
    return f"asked for {getattr(asked, lang)}, and the answer marks {', '.join(named.values())}"
