"""A debugger inside a trial that runs in this process: its prompt is seen, and it begins in the method's own frame."""

import bdb
import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from zslbench.runner.failures import frame_of_the_author


class Debugger:
    """Lets a person at the terminal into a trial.

    Args:
        post_mortem: whether to stop where a trial fails.
        entered: called before the first prompt of a trial, so that nothing is drawn over it.
    """

    def __init__(self, post_mortem: bool = False, entered: Callable[[], None] = lambda: None) -> None:
        self.post_mortem, self.entered = post_mortem, entered

    @contextlib.contextmanager
    def reachable(self, let_through: Callable[[], None]) -> Iterator[None]:
        """In the block, ``breakpoint()`` and ``pdb.set_trace()`` are seen.

        Args:
            let_through: stops to collect what is printed.
        """
        import pdb

        hook, set_trace = sys.breakpointhook, pdb.set_trace

        def enter(*args: Any, header: str | None = None, **options: Any) -> None:
            chosen = os.environ.get("PYTHONBREAKPOINT", "")
            if chosen == "0":
                return
            self.entered()
            let_through()
            if threading.current_thread() is threading.main_thread():  # at a prompt Ctrl-C ends no run
                signal.signal(signal.SIGINT, signal.default_int_handler)
            if hook is not sys.__breakpointhook__ or chosen not in ("", "pdb.set_trace"):
                hook(*args, **options)
                return
            debugger = pdb.Pdb()
            if header is not None:
                debugger.message(header)
            debugger.set_trace(sys._getframe(1))

        sys.breakpointhook, pdb.set_trace = enter, enter
        try:
            with _interrupts_kept():
                yield
        finally:
            sys.breakpointhook, pdb.set_trace = hook, set_trace

    def failed(self, error: BaseException, printed: str) -> None:
        """Stop where a trial failed, if that is asked for.

        Args:
            error: what the method raised.
            printed: what it had printed.

        Raises:
            KeyboardInterrupt: the person at the prompt wants no more.
        """
        if isinstance(error, bdb.BdbQuit):
            raise KeyboardInterrupt
        if not self.post_mortem:
            return
        import pdb

        self.entered()
        out = sys.stdout if sys.stdout.isatty() else sys.stderr  # whose end is a person
        debugger = pdb.Pdb(stdout=out)
        debugger.use_rawinput = out is sys.stdout
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        if up := len(frames) - 1 - frame_of_the_author([frame.f_code.co_filename for frame in frames]):
            debugger.cmdqueue.append(f"up {up}")
        out.write(printed)
        out.write("".join(traceback.format_exception(error)))
        out.write("Post mortem: p NAME shows a value, u and d go up and down, c goes on with the next trial, q ends.\n")
        with _interrupts_kept():
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, signal.default_int_handler)
            debugger.reset()
            debugger.interaction(None, error.__traceback__)
        if debugger.quitting:
            raise KeyboardInterrupt


def plain_stream(stream: TextIO) -> TextIO:
    """The same file without any Python between, into which a debugger would step, or which it would enter twice."""
    try:
        return open(stream.fileno(), "w", buffering=1, errors="backslashreplace", closefd=False)
    except (OSError, ValueError):  # no file: somebody collects what is printed
        return stream


@contextlib.contextmanager
def _interrupts_kept() -> Iterator[None]:
    """A debugger sets what Ctrl-C does; afterwards it does what it did before."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is not before and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)
