"""What code can set in its process: each setting, how it is read and how it is put back. To add one, add a line."""

import copyreg
import ctypes
import decimal
import gc
import locale
import logging
import multiprocessing
import os
import platform
import resource
import signal
import socket
import sys
import tempfile
import threading
import warnings
from _signal import getsignal  # type: ignore[import-not-found]  # without a look at enums, which takes long
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Setting(NamedTuple):
    """One thing that code can set in its process."""

    name: str
    """As the user is told."""
    read: Callable[[], Any]
    """A value that changes neither by itself nor with what it was read from."""
    write: Callable[[Any], object]
    quiet: bool = False
    """Whether libraries set it too when they are imported, so that nobody is blamed for it."""
    kept: bool = True
    """Whether a plugin that sets it when it is imported has it in its trials."""


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # removed
        return None


def _go_to(folder: str | None) -> None:
    if folder is not None:
        os.chdir(folder)


def _set_environment(variables: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _set_filters(state: tuple[Any, ...]) -> None:
    warnings.filters[:], warnings.showwarning = state[0], state[1]  # type: ignore[index]
    warnings._filters_mutated()  # type: ignore[attr-defined]


def _handlers() -> tuple[Any, ...]:
    return tuple(map(getsignal, _SIGNALS))


def _set_handlers(handlers: tuple[Any, ...]) -> None:
    for number, handler in zip(_SIGNALS, handlers, strict=True):
        if handler is not None and getsignal(number) != handler:
            signal.signal(number, handler)


def _set_timers(timers: tuple[bool, ...]) -> None:
    for which, on in zip(_TIMERS, timers, strict=True):
        if not on:
            signal.setitimer(which, 0)


def _limits() -> tuple[tuple[int, int], ...]:
    return tuple(map(resource.getrlimit, _LIMITS))


def _set_limits(limits: tuple[tuple[int, int], ...]) -> None:
    for which, (soft, hard) in zip(_LIMITS, limits, strict=True):
        if resource.getrlimit(which) != (soft, hard):
            try:
                resource.setrlimit(which, (soft, hard))
            except (ValueError, OSError):  # a hard limit that was lowered stays, but for root
                most = resource.getrlimit(which)[1]
                resource.setrlimit(which, (soft if most == resource.RLIM_INFINITY else min(soft, most), most))


def _stack_size() -> int:
    size = threading.stack_size()  # which sets it to the default
    threading.stack_size(size)
    return size


def _reducers() -> dict[Any, Any]:
    """How what a trial hands back is pickled; what other libraries add for their own types stays."""
    types = copyreg.dispatch_table.items()
    return {kind: how for kind, how in types if kind.__module__.partition(".")[0] in ("builtins", "numpy", "zslbench")}


def _set_reducers(wanted: dict[Any, Any]) -> None:
    for kind in _reducers():
        del copyreg.dispatch_table[kind]
    copyreg.dispatch_table.update(wanted)


def _logging() -> tuple[Any, ...]:
    root = logging.getLogger()
    return root.level, tuple(root.handlers), tuple(root.filters), root.disabled, logging.root.manager.disable


def _set_logging(state: tuple[Any, ...]) -> None:
    root = logging.getLogger()
    root.setLevel(state[0])
    root.handlers[:], root.filters[:], root.disabled = state[1], state[2], state[3]
    logging.disable(state[4])


def _decimal() -> tuple[Any, ...]:
    context = decimal.getcontext()
    traps = tuple(sorted((kind.__name__, on) for kind, on in context.traps.items()))
    return context.prec, context.rounding, context.Emin, context.Emax, context.capitals, context.clamp, traps


def _set_decimal(state: tuple[Any, ...]) -> None:
    context, traps = decimal.getcontext(), dict(state[-1])
    context.prec, context.rounding, context.Emin, context.Emax, context.capitals, context.clamp = state[:-1]
    context.traps = {kind: traps[kind.__name__] for kind in context.traps}


_LIMITS = sorted({number for name, number in vars(resource).items() if name.startswith("RLIMIT_")})
_SIGNALS = sorted(set(map(int, signal.valid_signals())) - {int(signal.SIGCHLD)})
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)


def _list(holder: Any, name: str, quiet: bool = True, kept: bool = False) -> Setting:
    def write(value: tuple[Any, ...]) -> None:
        getattr(holder, name)[:] = value

    return Setting(f"{holder.__name__}.{name}", lambda: tuple(getattr(holder, name)), write, quiet, kept)


def _attribute(holder: Any, name: str, quiet: bool = False) -> Setting:
    called = f"{holder.__name__}.{name}"
    return Setting(called, lambda: getattr(holder, name), lambda value: setattr(holder, name, value), quiet, kept=False)


# The floating point unit: rounding and denormal numbers, which no library can read

_FENV_BYTES = 64  # larger than any system's fenv_t


def _floats() -> bytes:
    """The C library's floating point environment."""
    buffer = ctypes.create_string_buffer(_FENV_BYTES)
    _libm.fegetenv(buffer)
    return buffer.raw


def _float_control() -> bytes:
    """What of it decides about results; the rest notes what happened in earlier sums."""
    state = _floats()
    if platform.machine() in ("x86_64", "AMD64"):
        return state[:2] + (int.from_bytes(state[28:32], "little") & 0xFFC0).to_bytes(4, "little")
    return state[:4]


def _set_float_control(_: bytes) -> None:
    _libm.fesetenv(ctypes.create_string_buffer(_sane_floats))


try:
    _libm = ctypes.CDLL(None)
    _sane_floats = _floats()
    _FLOATS = [Setting("how floats are rounded", _float_control, _set_float_control)]
except (OSError, AttributeError):  # a system whose C library does not tell
    _FLOATS = []

ENVIRONMENT, PATH = "the environment", "sys.path"
SETTINGS: list[Setting] = [
    *_FLOATS,  # first: with another rounding, others are read otherwise
    Setting("the working folder", _folder, _go_to),
    Setting(ENVIRONMENT, lambda: dict(os.environ), _set_environment, quiet=True),
    Setting("the umask", _umask, os.umask),
    _list(sys, "path", kept=True),
    _list(sys, "meta_path"),
    _list(gc, "callbacks", quiet=False),
    _list(sys, "path_hooks"),
    _list(sys, "argv", quiet=False),
    _attribute(sys, "stdin"),
    _attribute(sys, "stdout"),
    _attribute(sys, "stderr"),
    _attribute(sys, "exit"),
    _attribute(sys, "executable"),
    _attribute(sys, "excepthook"),
    _attribute(sys, "unraisablehook"),
    _attribute(sys, "displayhook"),
    _attribute(sys, "breakpointhook"),
    _attribute(sys, "dont_write_bytecode"),
    _attribute(threading, "excepthook"),
    _attribute(tempfile, "tempdir", quiet=True),
    Setting("sys.settrace", sys.gettrace, sys.settrace, quiet=True, kept=False),
    Setting("sys.setprofile", sys.getprofile, sys.setprofile, quiet=True, kept=False),
    Setting("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    Setting("the switch interval", sys.getswitchinterval, sys.setswitchinterval),
    Setting("the longest integer", sys.get_int_max_str_digits, sys.set_int_max_str_digits),
    Setting("the stack size of threads", _stack_size, threading.stack_size),
    Setting("copyreg.dispatch_table", _reducers, _set_reducers, quiet=True, kept=False),
    Setting("garbage collection", gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
    Setting("garbage collection's thresholds", gc.get_threshold, lambda levels: gc.set_threshold(*levels)),
    Setting("garbage collection's debugging", gc.get_debug, gc.set_debug),
    Setting("the locale", lambda: locale.setlocale(locale.LC_ALL), lambda name: locale.setlocale(locale.LC_ALL, name)),
    Setting(
        "the filters of warnings", lambda: (tuple(warnings.filters), warnings.showwarning), _set_filters,
        quiet=True, kept=False,
    ),
    Setting("the root logger", _logging, _set_logging, quiet=True, kept=False),
    Setting("signal handlers", _handlers, _set_handlers, kept=False),
    Setting(  # torch sets it where it loads data in processes
        "the handler of SIGCHLD", lambda: getsignal(signal.SIGCHLD),
        lambda handler: signal.signal(signal.SIGCHLD, handler), quiet=True, kept=False,
    ),
    Setting(
        "blocked signals", lambda: frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        lambda mask: signal.pthread_sigmask(signal.SIG_SETMASK, mask),
    ),
    Setting("timers", lambda: tuple(signal.getitimer(which)[0] > 0 for which in _TIMERS), _set_timers, kept=False),
    Setting("resource limits", _limits, _set_limits),
    Setting(
        "the priority", lambda: os.getpriority(os.PRIO_PROCESS, 0),
        lambda level: os.setpriority(os.PRIO_PROCESS, 0, level),
    ),
    Setting("the decimal context", _decimal, _set_decimal),
    Setting("the time limit of sockets", socket.getdefaulttimeout, socket.setdefaulttimeout),
    Setting(
        "how processes are started", lambda: multiprocessing.get_start_method(allow_none=True),
        lambda method: multiprocessing.set_start_method(method, force=True), quiet=True,
    ),
    Setting("numpy.seterr", np.geterr, lambda errors: np.seterr(**errors)),
    Setting("numpy.seterrcall", np.geterrcall, np.seterrcall),
    Setting("numpy.setbufsize", np.getbufsize, np.setbufsize),
    Setting("numpy.set_printoptions", np.get_printoptions, lambda options: np.set_printoptions(**options)),
]  # fmt: skip
if hasattr(os, "sched_setaffinity"):
    SETTINGS.append(Setting("the cores", lambda: os.sched_getaffinity(0), lambda cores: os.sched_setaffinity(0, cores)))
