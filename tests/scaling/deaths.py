"""What kills its own process, in a module that a fresh process imports quickly."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def doubled_unless_seven(number: int) -> int:
    """Seven kills its process, as the system does where memory runs out."""
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def killed_once(path: Path) -> str:
    """The first process that gets the file dies; what is given it again lives."""
    if path.name == "1" and not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return path.name
