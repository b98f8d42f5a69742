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


def model():
    """The model, which marks three ranges of brightness."""
    return radgrounders.looking(MARKS, SIZE)


def main(args):
    """Runs the command and returns its exit code."""
    predict.RadGrounder.load = lambda _: model()
    jobs.dicom_results.weights.check = lambda path: None
    jobs.dicom_results.calibration.digest_of = lambda path: "digest"
    return predict.main(args)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
