"""What goes to a user's error output: lines of progress, and no warnings that are no news.

Warnings are dropped only while big_rad itself calls a library. Nothing stays changed: no level, no
handler, nothing that another thread logs.
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
    """Drops what a logger gets from this thread, up to warnings, while the context lasts.

    Orbax and TFDS log with absl. They warn of checkpoints that are only read, and of datasets that
    are not in their catalogue. Errors pass.

    Args:
        name: of the logger.
    """
    here, logger = threading.get_ident(), logging.getLogger(name)

    def passes(record: logging.LogRecord) -> bool:
        return record.levelno > logging.WARNING or record.thread != here

    logger.addFilter(passes)
    try:
        yield
    finally:
        logger.removeFilter(passes)
