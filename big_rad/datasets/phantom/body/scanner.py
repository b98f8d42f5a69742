"""The look of images as from another scanner or protocol, in percent of the usual look."""

import dataclasses

# {parameter: (lowest, highest)}. Within these limits, images stay plausible: an enhanced artery
# does not become denser than bone, and an image does not show less than an organ or more than a
# scanner can.
RANGES: dict[str, tuple[int, int]] = {"noise": (25, 400), "contrast": (25, 200), "fov": (50, 200)}


@dataclasses.dataclass(frozen=True)
class Scanner:
    """How the images differ from the usual ones; with 100 everywhere they are the usual ones.

    The patients stay the same.

    Attributes:
        noise: the standard deviation of the noise, in percent.
        contrast: how far soft tissues and organs lie from their common middle, in percent (see
            `tissues.with_contrast`).
        fov: the height and width of the field of view in mm, in percent.

    Raises:
        ValueError: A value is not a whole number, or is outside of `RANGES`.
    """

    noise: int = 100
    contrast: int = 100
    fov: int = 100

    def __post_init__(self):
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ValueError(
                    f"{name}={value!r} must be a whole number from {low} to {high}, in percent of "
                    "the usual look (100)"
                )


USUAL = Scanner()
