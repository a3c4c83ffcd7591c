"""One writer for one folder: a second one is told who is there."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import InvalidArgument

NAME = ".truetile.lock"
_HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_FAR = 1 << 30  # Windows locks bytes against reading too: not those of the pid


@contextlib.contextmanager
def locked(name: str, folder: Path) -> Iterator[None]:
    """Holds `folder` until the end of the block; the argument is called `name`.

    The operating system drops the lock of a process that has ended in whatever way, so the file of
    a crashed one is taken over. Raises InvalidArgument while another process holds it.
    """
    path = folder / NAME
    file = _open(path, name, folder)
    try:
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        file.flush()
        yield
    finally:
        # Removed while it is held, so that it is nobody else's; Windows only removes closed files.
        if os.name == "nt":
            file.close()
        with contextlib.suppress(OSError):
            path.unlink()
        file.close()


def _open(path: Path, name: str, folder: Path) -> BinaryIO:
    while True:
        try:
            file = path.open("a+b", buffering=0)
        except OSError as error:
            raise InvalidArgument(
                f"{name}={folder}: cannot be written ({error.strerror})"
            ) from None
        try:
            _lock(file)
            if os.name == "nt" or os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except FileNotFoundError:
            pass  # its holder has just ended and removed it
        except OSError as error:
            if error.errno in _HELD:
                file.seek(0)
                pid = file.read(20).decode(errors="replace") or "unknown"
                file.close()
                raise InvalidArgument(
                    f"{name}={folder}: must not be in use, but truetile writes there already "
                    f"(process {pid}); wait for it or give another folder"
                ) from None
            return file  # a file system without locks: then nobody can be kept out
        file.close()


def _lock(file: BinaryIO) -> None:
    """Raises OSError at once when another process has the lock."""
    try:
        import fcntl
    except ImportError:
        import msvcrt

        file.seek(_FAR)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        return
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
