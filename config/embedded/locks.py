"""Locks between processes that the system releases by itself when their holder dies."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


def opened(path: Path) -> int:
    """A descriptor of the lock file, made if missing; not inherited by programs that are started."""
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def exclusively(descriptor: int) -> bool:
    """Take the exclusive lock if nobody holds any; never waits."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def shared(descriptor: int) -> None:
    """Take the shared lock; waits while another process holds the exclusive one."""
    fcntl.flock(descriptor, fcntl.LOCK_SH)


def released(descriptor: int) -> None:
    """Give the lock back; the descriptor stays open."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)


def is_free(path: Path) -> bool:
    """Does no process hold the lock, at this instant?"""
    descriptor = opened(path)
    try:
        return exclusively(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the exclusive lock; waits for it."""
    descriptor = opened(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
