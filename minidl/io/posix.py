"""What only POSIX systems have. Windows has no fcntl, so this file is loaded when it is first used, and not there."""

import fcntl


def lock(number):
    """Locks an open file for its process. The system unlocks it when the file is closed, however the process ends.

    BlockingIOError if it is locked by others; another OSError where the file system has no locks.
    """
    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
