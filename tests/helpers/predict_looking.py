"""The command `predict` with a model that marks what is bright, in a process of its own.

python -m tests.helpers.predict_looking --checkpoint=CHECKPOINT IMAGES --out=DIR
"""

import sys

from big_rad import predict
from big_rad.inference import jobs
from tests.helpers import radgrounders

SIZE = 32
# Of the first channel, which shows -1225 to 1025 HU.
MARKS = {"liver": (0.14, 0.19), "aorta": (0.36, 0.4), "heart": (0.44, 2.0)}


def patch(setattr=setattr):
    """Lets the command load this model, whatever the checkpoint is.

    Args:
        setattr: sets an attribute, such as `monkeypatch.setattr`.
    """
    setattr(predict.RadGrounder, "load", lambda _: radgrounders.looking(MARKS, SIZE))
    setattr(jobs.dicom_results.weights, "check", lambda path: None)
    setattr(jobs.dicom_results.calibration, "digest_of", lambda path: "digest")


if __name__ == "__main__":
    patch()
    sys.exit(predict.main(sys.argv[1:]))
