"""RadGrounder: PaliGemma 2 that writes grounded radiology texts.

Without a mask decoder it is the function of `paligemma.Model`, with the same parameter tree
`{"img", "llm"}`, so checkpoints of either serve both. Knows no tokens, prompts or files.
"""

from collections.abc import Mapping
from typing import Any

from big_rad.models import paligemma

VARIANTS = paligemma.VARIANTS


class Model(paligemma.Model):
    """RadGrounder; attributes and methods are those of `paligemma.Model`, and one more.

    Attributes:
        mask_decoder: None, for a model that points with boxes.
    """

    mask_decoder: Mapping[str, Any] | None = None

    def setup(self) -> None:
        """Creates the towers.

        Raises:
            ValueError: a mask decoder is asked for.
        """
        if self.mask_decoder is not None:
            raise ValueError(
                f"config.model.mask_decoder is {dict(self.mask_decoder)}: this version has no mask "
                "decoder; set it to None (boxes are written as text and need none)"
            )
        super().setup()


load = paligemma.load
