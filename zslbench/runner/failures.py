"""Where a method failed: the line of its author's file, found in the stored traceback."""

import re
import sysconfig
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
    theirs = [frame for frame in frames if not any(part in frame["file"] for part in _NOT_THE_AUTHOR_S)]
    return f"{theirs[-1]['file']}, line {theirs[-1]['line']}" if theirs else ""
