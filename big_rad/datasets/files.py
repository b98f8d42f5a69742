"""Files of sources and of built datasets: looked for, put into place whole.

Knows nothing of what is in them.
"""

from pathlib import Path


def is_file(path: Path) -> bool:
    """Returns whether there is such a file; none has a name that the system refuses.

    `Path.is_file` raises for these (too long a name, a folder that may not be entered).
    """
    try:
        return path.is_file()
    except OSError:
        return False
