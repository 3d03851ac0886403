"""Where a command does not look for modules: in the folder that its user happens to stand in."""

import os
import sys


def leave_current_folder() -> None:
    """Drop the current folder from the search path of the command, unless somebody named it, or zslbench is there.

    ``python -m`` puts it first, and so does an empty entry of PYTHONPATH, which ``PYTHONPATH=$PYTHONPATH:folder``
    makes. A file there called like a module would be imported in its place.
    """
    command = os.path.basename(sys.argv[0]) if sys.argv else ""
    if command not in ("-m", "zslbench", "zslbench.exe"):
        return  # imported by a program or another command
    try:
        here = os.getcwd()
    except OSError:  # it is gone
        return
    if here == os.path.dirname(os.path.dirname(os.path.abspath(__file__))):
        return
    if command == "-m" and not sys.flags.safe_path and sys.path[:1] == [here]:
        del sys.path[0]
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    named = [entry for entry in entries if entry]
    if named != entries and "PYTHONPATH" in os.environ and not sys.flags.ignore_environment:
        os.environ["PYTHONPATH"] = os.pathsep.join(named)  # for processes that this one starts
        if entries != [""] and here not in map(os.path.abspath, named):
            sys.path[:] = [entry for entry in sys.path if entry not in ("", here)]
