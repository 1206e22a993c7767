"""Locks of files on POSIX systems. Windows has no fcntl, so this file is imported when it is first used, and never there."""

import fcntl


def lock(number):
    """Locks an open file for its process. The system unlocks it when the file is closed, however the process ends.

    BlockingIOError if it is locked by others; another OSError where the file system has no locks.
    """
    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
