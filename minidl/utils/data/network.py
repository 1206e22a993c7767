"""A file from the network: from the first of several servers that has it, in as many attempts as it takes."""

import contextlib
import glob
import hashlib
import http.client
import os
import re
import secrets
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

_PIECE = 1 << 16
_ABANDONED = 600  # seconds without a new byte: whoever wrote this is no longer alive, else it would have given up


class _Broken(Exception):
    """A connection that ended before its file."""


def download(urls, path, checksum=None, timeout=30, quiet=False):
    """Fetches a file from the first of the URLs that gives it whole, and returns its path.

    path: the file to write; its folder is made. A file that is there already, with the right checksum, is kept.
    checksum: "md5:…", "sha256:…" or another algorithm of hashlib. Without one nothing is checked but the length.
    timeout: after so many seconds without a byte a server counts as silent.
    quiet: no progress on stderr (where stderr is no terminal there is none anyway).

    The file gets its name when it is complete and its checksum is right; until then it grows under a name that no other
    process uses. An attempt that fails leaves what it has as `path`.part, and the next one goes on from there (with a
    checksum: nothing else tells whether the two ends fit).

    RuntimeError with a line for each URL if none gave the file; errors of the disk are raised as they are.

    >>> download("https://example.com/data.gz", "data.gz", checksum="md5:abc")
    Traceback (most recent call last):
    ValueError: download: expected a checksum like 'md5:…' with 32 hexadecimal digits, got 'md5:abc'
    """
    path, queue = Path(path), [urls] if isinstance(urls, str) else list(urls)
    for url in queue:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"download: expected a URL that starts with http:// or https://, got {url!r}")
    algorithm, expected = _parsed(checksum) if checksum else (None, None)
    if path.exists() and (not checksum or _digest(path, algorithm) == expected):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    if checksum:
        _take_over(path, mine)
    failures = []
    try:
        while queue:
            url = queue.pop(0)
            if not checksum:
                mine.unlink(missing_ok=True)
            with open(mine, "ab") as file:
                resumed = file.tell() > 0
                failure = _fetch(url, file, _Progress(path.name, quiet), timeout)
            if failure is None:
                found = checksum and _digest(mine, algorithm)
                if found == expected:
                    os.replace(mine, path)
                    return path
                mine.unlink()
                if resumed:  # the older part may be what was wrong: once more, from the start
                    queue.insert(0, url)
                    continue
                failure = f"{algorithm} is {found}"
            failures.append(f"\n  {url}: {failure}")
    finally:
        _leave(mine, path.with_name(f"{path.name}.part") if checksum else None)
    wanted = f" ({algorithm} {expected})" if checksum else ""
    raise RuntimeError(
        f"download: could not get {path.name}{wanted}:{''.join(failures)}\n"
        f"Where there is no network, copy the file to {path} from elsewhere."
    )


def _parsed(checksum):
    algorithm, _, digits = checksum.lower().partition(":")
    if algorithm not in hashlib.algorithms_guaranteed or algorithm.startswith("shake"):  # those have no length of their own
        raise ValueError(f"download: expected a checksum like 'md5:…' or 'sha256:…', got {checksum!r}")
    length = 2 * hashlib.new(algorithm, usedforsecurity=False).digest_size
    if not re.fullmatch(f"[0-9a-f]{{{length}}}", digits):
        raise ValueError(
            f"download: expected a checksum like '{algorithm}:…' with {length} hexadecimal digits, got {checksum!r}"
        )
    return algorithm, digits


def _digest(path, algorithm):
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _take_over(path, mine):
    """Makes an unfinished file of an earlier attempt ours. Renaming has one winner: no two processes write to one file."""
    for left in sorted(path.parent.glob(f"{glob.escape(path.name)}.*part")):
        with contextlib.suppress(OSError):
            if left.name == f"{path.name}.part" or time.time() - left.stat().st_mtime > _ABANDONED:
                os.rename(left, mine)
                return


def _leave(mine, part):
    """After a failure: what there is of the file becomes `part`, for the next attempt."""
    with contextlib.suppress(FileNotFoundError):  # after a success there is nothing to leave
        if part and mine.stat().st_size:
            os.replace(mine, part)
        else:
            mine.unlink()


def _fetch(url, file, progress, timeout):
    """Appends to the file what it lacks of what the URL has. Returns None, or what went wrong."""
    size = most = file.tell()
    while True:
        headers = {"User-Agent": "minidl", **({"Range": f"bytes={size}-"} if size else {})}
        try:
            response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416 and size:  # the file there is no longer than ours
                size = file.truncate(0)
                continue
            return f"HTTP {error.code} {error.reason}"
        except (OSError, http.client.HTTPException) as error:
            return f"no connection: {getattr(error, 'reason', None) or error or type(error).__name__}"
        with response:
            if size and not response.headers.get("Content-Range", "").startswith(f"bytes {size}-"):
                size = file.truncate(0)
                if response.status == 206:  # not the range that was asked for; without one the server sends all of it
                    continue
            length = response.headers.get("Content-Length", "")
            total = size + int(length) if length.isdecimal() else None
            try:
                for piece in _pieces(response):
                    file.write(piece)
                    size += len(piece)
                    progress.show(size, total)
                trouble = None if total in (None, size) else "the connection was closed"
            except _Broken as error:
                trouble = str(error)
        progress.end()
        if not trouble:
            return None
        if size <= most:  # a broken connection is renewed as long as that brings the file further
            return f"{trouble} after {size} of {total or 'an unknown number of'} bytes"
        most = size


def _pieces(response):
    while True:
        try:
            piece = response.read1(_PIECE)  # what has come so far: a silence after it loses nothing
        except (OSError, http.client.HTTPException) as error:  # not those of the disk, which are the caller's to raise
            raise _Broken(str(error) or type(error).__name__) from None
        if not piece:
            return
        yield piece


class _Progress:
    """A line on stderr that says how far a file is."""

    def __init__(self, name, quiet):
        self.name, self.next = name, 0.0
        self.wanted = not quiet and sys.stderr is not None and sys.stderr.isatty()

    def show(self, size, total):
        if self.wanted and (time.monotonic() >= self.next or size == total):
            self.next = time.monotonic() + 0.1
            share = f" of {total / 1e6:.1f} MB, {size / total:.0%}" if total else " MB"
            print(f"\r{self.name}: {size / 1e6:.1f}{share}  ", end="", file=sys.stderr, flush=True)

    def end(self):
        if self.wanted and self.next:
            print(file=sys.stderr)
