"""Where a method failed: the line of its author's file, found in the stored traceback."""

import os
import re
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import zslbench
from zslbench.records import Failure

_FRAME = re.compile(r'^\s*File "(?P<file>.+)", line (?P<line>\d+)')
_NOT_THE_AUTHOR_S = (
    str(Path(zslbench.__file__).parent) + "/",
    sysconfig.get_paths()["stdlib"] + "/",
    "/site-packages/",
    "/dist-packages/",
)


def failing_line(failure: Failure) -> str:
    """``FILE, line N`` of the innermost frame that is neither of zslbench nor of a library; empty if there is none.

    A traceback of another machine names that machine's folders; those of its libraries are known by their names.
    """
    frames = [match for line in failure.traceback.split("\n") if (match := _FRAME.match(line))]
    return line_of_the_author([(frame["file"], int(frame["line"])) for frame in frames])


def line_of_the_author(frames: Sequence[tuple[str, int]]) -> str:
    """The same of frames given by their files and lines, outermost first."""
    theirs = [(file, line) for file, line in frames if _is_the_author_s(file)]
    return f"{theirs[-1][0]}, line {theirs[-1][1]}" if theirs else ""


def nearby(line: str) -> str:
    """What `failing_line` says, with the file as it is called from the current folder if it is below it."""
    try:
        return line.removeprefix(f"{os.getcwd()}{os.sep}")
    except OSError:  # the folder was removed
        return line


def frame_of_the_author(files: Sequence[str]) -> int:
    """Which of a traceback's frames, given by their files, is that innermost one; the last where there is none."""
    return max((at for at, file in enumerate(files) if _is_the_author_s(file)), default=len(files) - 1)


def _is_the_author_s(file: str) -> bool:
    return not any(part in file for part in _NOT_THE_AUTHOR_S) and not file.startswith("<")
