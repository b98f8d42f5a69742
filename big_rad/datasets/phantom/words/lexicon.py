"""The names of organs in the phantom's texts, in English and German, with German grammar."""

from dataclasses import dataclass

# {class id: its names}, each name as (English, German adjective stem, German noun, gender).
_NOUNS: dict[int, tuple[tuple[str, str, str, str], ...]] = {
    1: (("spleen", "", "Milz", "f"),),
    2: (("right kidney", "recht", "Niere", "f"),),
    3: (("left kidney", "link", "Niere", "f"),),
    4: (("gallbladder", "", "Gallenblase", "f"),),
    5: (("liver", "", "Leber", "f"),),
    6: (("stomach", "", "Magen", "m"),),
    7: (("pancreas", "", "Pankreas", "n"), ("pancreas", "", "Bauchspeicheldrüse", "f")),
    8: (("right adrenal gland", "recht", "Nebenniere", "f"),),
    9: (("left adrenal gland", "link", "Nebenniere", "f"),),
    10: (("left upper lobe", "link", "Oberlappen", "m"),),
    11: (("left lower lobe", "link", "Unterlappen", "m"),),
    12: (("right upper lobe", "recht", "Oberlappen", "m"),),
    13: (("right middle lobe", "recht", "Mittellappen", "m"),),
    14: (("right lower lobe", "recht", "Unterlappen", "m"),),
    15: (("esophagus", "", "Ösophagus", "m"), ("esophagus", "", "Speiseröhre", "f")),
    16: (("trachea", "", "Trachea", "f"), ("trachea", "", "Luftröhre", "f")),
    17: (("thyroid gland", "", "Schilddrüse", "f"),),
    18: (("small bowel", "", "Dünndarm", "m"),),
    19: (("duodenum", "", "Duodenum", "n"),),
    20: (("colon", "", "Kolon", "n"),),
    21: (("urinary bladder", "", "Harnblase", "f"), ("bladder", "", "Harnblase", "f")),
    22: (("prostate", "", "Prostata", "f"),),
    25: (("sacrum", "", "Kreuzbein", "n"), ("sacrum", "", "Sakrum", "n")),
    51: (("heart", "", "Herz", "n"),),
    52: (("aorta", "", "Aorta", "f"),),
    62: (("superior vena cava", "ober", "Hohlvene", "f"),),
    63: (("inferior vena cava", "unter", "Hohlvene", "f"),),
    64: (("portal vein", "", "Pfortader", "f"),),
    65: (("left iliac artery", "link", "Beckenarterie", "f"),),
    66: (("right iliac artery", "recht", "Beckenarterie", "f"),),
    67: (("left iliac vein", "link", "Beckenvene", "f"),),
    68: (("right iliac vein", "recht", "Beckenvene", "f"),),
    69: (("left humerus", "link", "Humerus", "m"),),
    70: (("right humerus", "recht", "Humerus", "m"),),
    71: (("left scapula", "link", "Skapula", "f"),),
    72: (("right scapula", "recht", "Skapula", "f"),),
    73: (("left clavicle", "link", "Klavikula", "f"),),
    74: (("right clavicle", "recht", "Klavikula", "f"),),
    75: (("left femur", "link", "Femur", "m"),),
    76: (("right femur", "recht", "Femur", "m"),),
    77: (("left hip bone", "link", "Hüftbein", "n"),),
    78: (("right hip bone", "recht", "Hüftbein", "n"),),
    79: (("spinal cord", "", "Rückenmark", "n"),),
    88: (("left iliopsoas", "link", "Lendendarmbeinmuskel", "m"),),
    89: (("right iliopsoas", "recht", "Lendendarmbeinmuskel", "m"),),
    90: (("brain", "", "Gehirn", "n"),),
    91: (("skull", "", "Schädel", "m"),),
    116: (("sternum", "", "Sternum", "n"),),
    118: (("left lung", "link", "Lunge", "f"),),
    119: (("right lung", "recht", "Lunge", "f"),),
    121: (("spine", "", "Wirbelsäule", "f"), ("vertebral column", "", "Wirbelsäule", "f")),
}
SPOKEN: tuple[int, ...] = tuple(_NOUNS)
# Pairs of (left, right) classes that one text may name together.
PAIRS: tuple[tuple[int, int], ...] = ((3, 2), (118, 119), (75, 76), (77, 78))
SIDE: dict[int, str] = {**{p[0]: "left" for p in PAIRS}, **{p[1]: "right" for p in PAIRS}}

_THE = {"nom": {"m": "der", "f": "die", "n": "das"}, "acc": {"m": "den", "f": "die", "n": "das"}}
_BARE = {"m": "er", "f": "e", "n": "es"}


def _upper(s: str) -> str:
    return s[:1].upper() + s[1:]


@dataclass(frozen=True)
class Organ:
    """One name of a class; templates use its properties, such as `{0.into}`.

    Attributes:
        label: the class id.
        en: the English name.
        adjective: the stem of the German adjective, such as "link"; "" without one.
        noun: the German noun.
        gender: the gender of the noun: "m", "f" or "n".
    """

    label: int
    en: str
    adjective: str
    noun: str
    gender: str

    def _weak(self, case: str) -> str:
        ending = "en" if case == "dat" or (case == "acc" and self.gender == "m") else "e"
        return f"{self.adjective}{ending} {self.noun}" if self.adjective else self.noun

    @property
    def En(self) -> str:
        """The English name with its first letter in upper case."""
        return _upper(self.en)

    @property
    def bare(self) -> str:
        """The German name without an article: linke Niere, linker Femur."""
        end = _BARE[self.gender]
        return f"{self.adjective}{end} {self.noun}" if self.adjective else self.noun

    @property
    def Bare(self) -> str:
        """The German name without an article, with its first letter in upper case."""
        return _upper(self.bare)

    @property
    def nom(self) -> str:
        """The nominative: die linke Niere."""
        return f"{_THE['nom'][self.gender]} {self._weak('nom')}"

    @property
    def Nom(self) -> str:
        """The nominative at the start of a sentence: Die linke Niere."""
        return _upper(self.nom)

    @property
    def acc(self) -> str:
        """The accusative: den linken Femur."""
        return f"{_THE['acc'][self.gender]} {self._weak('acc')}"

    @property
    def dat(self) -> str:
        """The dative: der linken Niere."""
        return f"{'der' if self.gender == 'f' else 'dem'} {self._weak('dat')}"

    @property
    def into(self) -> str:
        """The dative after "in": in der linken Niere, im Magen."""
        return f"{'in der' if self.gender == 'f' else 'im'} {self._weak('dat')}"

    @property
    def none(self) -> str:
        """The negated form: keine linke Niere, kein linker Femur."""
        return f"{'keine' if self.gender == 'f' else 'kein'} {self.bare}"

    @property
    def None_(self) -> str:
        """The negated form at the start of a sentence: Keine linke Niere."""
        return _upper(self.none)

    def forms(self, lang: str) -> tuple[str, ...]:
        """Returns every form in which the name, without its article, can occur in a text."""
        if lang == "en":
            return (self.en, self.En)
        forms = [self._weak(c) for c in ("nom", "dat")] + [self.bare, self.Bare]
        return tuple(dict.fromkeys(forms))


def organ(label: int, variant: int = 0) -> Organ:
    """Returns name number `variant` of a class; after the last name it starts again at 0."""
    names = _NOUNS[label]
    return Organ(label, *names[variant % len(names)])


def variants(label: int) -> int:
    """Returns the number of names of a class."""
    return len(_NOUNS[label])
