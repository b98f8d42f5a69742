"""The two faults of a stage of the data engine.

Both carry one sentence for people, without anything that could name a patient: no path, no name of
a file, no words of a report and no message of another library.
"""


class Rejected(ValueError):
    """The input cannot be used. The same input has the same fault again, so it is remembered."""


class Failed(RuntimeError):
    """A stage did not finish for a reason that may pass, such as a time-out or a full disk.

    Nothing is remembered, and the next run tries again.
    """
