"""One process at a time, without lock files that stay behind: the lock is taken on the folder itself."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bed.report import say


def once(folder: Path, busy: str, there: Callable[[], bool], make: Callable[[], None]) -> None:
    """Make what belongs into `folder`, unless it is there or another process makes it meanwhile."""
    if not there():
        with locked(folder, busy):
            if not there():
                make()


@contextmanager
def locked(folder: Path, busy: str | None = None) -> Iterator[None]:
    """Hold `folder` (made if missing) alone; say `busy` if another process has it and we have to wait."""
    fd = _lock(folder, busy)
    try:
        yield
    finally:
        os.close(fd)


def _lock(folder: Path, busy: str | None) -> int:
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if busy is not None:
                say(busy)
            fcntl.flock(fd, fcntl.LOCK_EX)
        # Whoever held it may have removed the folder: then this lock is on something that nobody else can find.
        if folder.exists() and folder.stat().st_ino == os.fstat(fd).st_ino:
            return fd
        os.close(fd)
