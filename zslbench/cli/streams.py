"""stdout and stderr that never stop a command: what cannot be shown is written out, what cannot be written is kept in
mind and told once, at the end.

A run of hours must not end in a traceback because the terminal was closed or a disk is full: its trials are stored.
"""

import codecs
import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

import click

from zslbench.plaintext import one_line, visible

_ERRORS = "zslbench.written-out"


class Stream(io.RawIOBase):
    """The bytes of a file descriptor, which takes whatever is written. `error` is the first reason why it could not."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.error: OSError | None = None

    def fileno(self) -> int:
        """Of the file itself."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether a person looks at it."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int:
        """Write all of it, or nothing more once something could not be written."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        while rest and self.error is None:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # a pipe that somebody has set to return at once
                _wait_for(self._descriptor)
            except OSError as error:
                self.error = error
        return size

    @property
    def lost(self) -> str:
        """Why something is missing that a reader would have wanted; empty where all is written or the reader left."""
        if self.error is None or self.error.errno == errno.EPIPE:  # closing a pipe is the reader's choice: ``| head``
            return ""
        return self.error.strerror or str(self.error)


def _wait_for(descriptor: int) -> None:
    import select

    select.select([], [descriptor], [])


def _written_out(error: UnicodeError) -> tuple[str, int]:
    r"""Characters that an encoding lacks as ``\u00e9``, which is valid within JSON, and keeps names apart."""
    assert isinstance(error, UnicodeEncodeError)
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = (units[at : at + 2] for at in range(0, len(units), 2))
    return "".join(f"\\u{int.from_bytes(pair):04x}" for pair in pairs), error.end


codecs.register_error(_ERRORS, _written_out)


def _open_descriptors() -> None:
    """A descriptor that is closed (``>&-``) is taken, or the next file that is opened would get what is printed."""
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):  # 1: writing to it is an error
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, flags)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)


def _unfailing(stream: TextIO | None, number: int) -> tuple[TextIO, Stream]:
    descriptor = number
    if stream is not None and not stream.closed:
        try:
            descriptor = stream.fileno()
        except OSError:  # no file: somebody collects what is printed
            return stream, Stream(number)
    raw = Stream(descriptor)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    lines = number == 2 or raw.isatty()
    text = io.TextIOWrapper(io.BufferedWriter(raw), encoding, _ERRORS, newline="", line_buffering=lines)
    return text, raw


@contextlib.contextmanager
def unfailing() -> Iterator[Stream]:
    """Within the block, printing to stdout and stderr raises nothing; hands out what became of stdout.

    What is printed is flushed at the end of the block.
    """
    _open_descriptors()
    before = sys.stdout, sys.stderr
    (sys.stdout, out), (sys.stderr, _) = mine = [_unfailing(each, at) for at, each in enumerate(before, 1)]
    try:
        yield out
    finally:
        for stream, raw in mine:
            if not stream.closed:
                stream.flush()
            if raw.error is not None:  # so that Python's own last flush does not fail in its turn (exit code 120)
                _into_nothing(raw.fileno())
        sys.stdout, sys.stderr = before


def _into_nothing(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def put(text: str) -> None:
    """Print a part of a document that programs read, as it is; on a terminal control characters are written out."""
    sys.stdout.write("\n".join(map(visible, text.split("\n"))) if sys.stdout.isatty() else text)


class Results:
    """stdout as a file for a long document; the command ends where nobody takes any more of it."""

    def write(self, text: str) -> None:
        """As `put`."""
        put(text)
        raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
        if isinstance(raw, Stream) and raw.error is not None:
            raise click.exceptions.Exit(0)  # what is to be said of it `main` says


def say(*lines: str) -> None:
    """Print lines of a result that a person reads; what cannot be printed in them is written out."""
    sys.stdout.write("".join(f"{visible(line)}\n" for line in lines))
    sys.stdout.flush()


def tell(message: object) -> None:
    """Print one line about what happens, to stderr."""
    sys.stderr.write(f"{one_line(message)}\n")
    sys.stderr.flush()
