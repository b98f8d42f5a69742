"""What goes to the error output: lines of progress, without pointless warnings of libraries.

Warnings are dropped only while big_rad itself calls a library. No level and no handler of a logger
is changed, and the messages of other threads pass.
"""

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator


def to_stderr(line: str) -> None:
    """Prints a line to the error output at once; the `log` of what also runs inside pipes."""
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def without_warnings(name: str = "absl") -> Iterator[None]:
    """Drops the warnings and lesser messages of this thread to a logger, while the context lasts.

    Orbax and TFDS log with absl. They warn about checkpoints that are only read, and about datasets
    that are not in their catalogue. Errors pass.

    Args:
        name: the name of the logger.
    """
    here, logger = threading.get_ident(), logging.getLogger(name)

    def passes(record: logging.LogRecord) -> bool:
        return record.levelno > logging.WARNING or record.thread != here

    logger.addFilter(passes)
    try:
        yield
    finally:
        logger.removeFilter(passes)
