"""What a trial may rely on: the state of the process, which holds at the start of every trial and is put back after it.

A method may set what it likes while it runs. So that it reaches no other trial, everything in `settings` is read before
and restored after; a process of which something cannot be restored is used no more (see `Traces`). What a plugin sets
when it is *imported* is part of that plugin: it holds for its own trials and for nobody else's.

torch's settings begin every trial as torch itself begins, whatever the process did before.
"""

import _thread
import contextlib
import faulthandler
import gc
import random
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple

import numpy as np

from zslbench.errors import InputError
from zslbench.hashing import derive_seed
from zslbench.runner import originals
from zslbench.runner.children import child_processes, end
from zslbench.runner.descriptors import Descriptors
from zslbench.runner.settings import ENVIRONMENT, PATH, SETTINGS, Setting
from zslbench.runner.torch_settings import documented, torch_settings

_THREADS_END_SECONDS = 0.5
FILES_CLOSED = "open files closed"


class Traces(NamedTuple):
    """What a trial left behind, in words."""

    restored: tuple[str, ...] = ()
    """Was set back."""
    lasting: tuple[str, ...] = ()
    """Cannot be surely undone: the process must run no other trial."""
    tampered: tuple[str, ...] = ()
    """Among the lasting: what the trial was measured with, so that its numbers are worth nothing."""

    @property
    def named(self) -> list[str]:
        """All of it, as in "the method left ..."."""
        return [*(f"{name} changed" for name in self.restored), *self.lasting]


_torch: dict[str, Setting] = {}
_torch_at_first: dict[str, Any] = {}
_seeds: list[int] = []
"""The seed of the trial that runs here, if one does."""


def _torch_came() -> None:
    """Note how torch begins, before anybody can have changed it, and give it the seed of the trial that loads it."""
    torch = sys.modules["torch"]
    _torch.update({setting.name: setting for setting in torch_settings(torch)})
    _torch_at_first.update({name: setting.read() for name, setting in _torch.items()})
    originals.watch_loaded()
    if _seeds:
        torch.manual_seed(derive_seed("global generators", _seeds[-1]))


class _FirstLook:
    """The first of Python's finders: looks at torch and at installed methods as soon as they are loaded."""

    asking = False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Let the others find it."""
        if self.asking or (bool(_torch) if name == "torch" else not originals.is_of_methods(name)):
            return None
        self.asking = True
        try:
            spec = find_spec(name)
        finally:
            self.asking = False
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                execute(module)
                if name == "torch":
                    _torch_came()
                else:
                    originals.watch(name)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


# Reading and restoring all of it


def read() -> dict[str, Any]:
    """Every setting by name."""
    found = {setting.name: setting.read() for setting in SETTINGS}
    found.update({name: setting.read() for name, setting in _torch.items()})
    return found


def restore(wanted: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Make everything as wanted. Returns the names of what was otherwise, and of what still is."""
    changed, stays = [], []
    for setting in (*SETTINGS, *_torch.values()):
        if setting.name not in wanted:
            continue
        value = wanted[setting.name]
        if not _same(setting, value):
            changed.append(setting)
            with contextlib.suppress(Exception), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                setting.write(value)
    # Afterwards, since one may write another: warnings' filters came back within the loop.
    for setting in changed:
        if not _same(setting, wanted[setting.name]):
            with contextlib.suppress(Exception):
                setting.write(wanted[setting.name])
            if not _same(setting, wanted[setting.name]):
                stays.append(setting.name)
    return [setting.name for setting in changed if not setting.quiet], stays


def _same(setting: Setting, value: Any) -> bool:
    try:
        return bool(setting.read() == value)
    except Exception:  # what cannot even be read has changed
        return False


_imported: dict[str, dict[str, Any]] = {}
"""Whose methods -> what their import has set here, by name; of dictionaries and lists, what it has added."""


@contextlib.contextmanager
def importing(owner: str, blame: str) -> Iterator[None]:
    """Import strange code in the block. What it sets is kept for its own trials and undone here.

    Args:
        owner: whose methods it defines, as `Registry.owner` says.
        blame: the plugin or package as the user is told.

    Raises:
        InputError: it changed something that cannot be undone, or what trials are measured with.
    """
    originals.accept()
    before, files = read(), Descriptors()
    watch = originals.Watch(measuring=True)
    try:
        yield
    finally:
        patched = watch.undone()  # first: what follows may need what was replaced
        _, lost = files.mend()
        _imported.setdefault(owner, {}).update(_news(_torch_at_first | before, read()))
        _, stays = restore(_torch_at_first | before)
    if lost:
        stays.append("the open files")
    if stays:
        raise InputError(
            f"{blame} changes {listed(stays)} of its process for good when it is imported: do that in `fit`."
        )
    if patched:
        raise InputError(
            f"{blame} replaces {listed(patched)}, which trials are measured with, when it is imported: leave it alone."
        )


def _at_first(before: dict[str, Any]) -> dict[str, Any]:
    """What a trial begins with: all as it was, and torch as torch begins."""
    return before | _torch_at_first


def _news(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What an import has set: values; of a dictionary its new items, of a list its new members."""
    found = {}
    for setting in (*SETTINGS, *_torch.values()):
        was: Any = before.get(setting.name)
        now: Any = after.get(setting.name)
        if not setting.kept or _equal(was, now):
            continue
        if setting.name == ENVIRONMENT:
            now = {name: now.get(name) for name in now.keys() | was.keys() if now.get(name) != was.get(name)}
        elif setting.name == PATH:
            now = tuple(folder for folder in now if folder not in was)
        found[setting.name] = now
    return found


def _with_imported(owner: str, before: dict[str, Any]) -> dict[str, Any]:
    """The settings for a trial of these methods."""
    wanted = before | _imported.get(owner, {})
    variables = before[ENVIRONMENT] | _imported.get(owner, {}).get(ENVIRONMENT, {})
    wanted[ENVIRONMENT] = {name: value for name, value in variables.items() if value is not None}
    added = _imported.get(owner, {}).get(PATH, ())
    wanted[PATH] = (*(folder for folder in added if folder not in before[PATH]), *before[PATH])
    return wanted


def _differing(wanted: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """What of it is not so yet."""
    return {name: value for name, value in wanted.items() if name not in now or not _equal(value, now[name])}


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:
        return False


@contextlib.contextmanager
def undisturbed(owner: str, seed: int) -> Iterator[list[Traces]]:
    """Run a trial in the block; the list is filled with what it left behind.

    Args:
        owner: whose method it is; what was set when that was imported holds.
        seed: for the global generators of Python, NumPy and torch, so that a method that draws from them is repeatable.
    """
    traces: list[Traces] = []
    before, drawn = read(), _generators()
    start = _with_imported(owner, _at_first(before))
    restore(_differing(start, before))
    gc.freeze()  # garbage of before stays: its files would seem closed by the method, and going through it takes time
    files, watch, threads, children = Descriptors(), originals.Watch(), _threads(), child_processes()
    bare, tasks = _bare_threads(), _tasks()
    _seed(seed)
    _seeds.append(seed)
    try:
        yield traces
    finally:
        gc.collect()  # what the method leaves may run code when it goes
        if len(_seeds) == 1:  # within another trial all that was there before that one stays aside
            gc.unfreeze()
        left = _threads_left(threads, bare, tasks)  # for as long as they run, they may change what is put back
        patched, tampered = watch.undone(), watch.tampered  # now: what follows may need what was replaced
        faulthandler.cancel_dump_traceback_later()
        _seeds.pop()
        started = child_processes() - children
        for child in started:
            end(child)
        closed, lost = files.mend()
        changed, stays = restore(_torch_at_first | start)  # torch may have come meanwhile
        lasting = [*(f"{name} changed" for name in (*patched, *stays)), *left]
        if lost:
            lasting.append(FILES_CLOSED)
        elif closed:
            changed.append("open files")
        if started:
            lasting.append("a running process")
        restore(_differing(_torch_at_first | before, _torch_at_first | start))
        _set_generators(drawn)
        restored = tuple(name for name in changed if name not in stays)
        traces.append(Traces(restored, tuple(lasting), tuple(tampered)))


@contextlib.contextmanager
def undisturbed_alone(owner: str, seed: int) -> Iterator[list[Traces]]:
    """As `undisturbed`, for a trial that is no part of a series: what the program has patched, or set back, since the
    last one is its own affair, and no method's.
    """
    originals.accept()
    with undisturbed(owner, seed) as traces:
        yield traces


def _seed(seed: int) -> None:
    seed = derive_seed("global generators", seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  the generator that careless methods draw from
    if torch := sys.modules.get("torch"):
        torch.manual_seed(seed)


_numpy: Any = np.random


def _generators() -> tuple[Any, ...]:
    """The states of the global generators."""
    torch, bits = sys.modules.get("torch"), _numpy.get_bit_generator()
    return random.getstate(), (bits, _numpy.get_state(legacy=False)), torch.get_rng_state() if torch else None


def _set_generators(states: tuple[Any, ...]) -> None:
    random.setstate(states[0])
    bits, state = states[1]
    _numpy.set_bit_generator(bits)
    _numpy.set_state(state)
    if states[2] is not None:
        sys.modules["torch"].set_rng_state(states[2])


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first few."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def told(traces: Traces) -> list[str]:
    """For the user, as in "the method left ...": what, and what became of it."""
    said = []
    if traces.restored:
        said.append(f"{listed(traces.restored)} changed: set back")
    if traces.lasting:
        said.append(f"{listed(traces.lasting)}: no other trial runs in its process")
    return said


def _threads() -> set[int]:
    """Python's threads, but for the clock of progress bars, which many methods use, and for those of native code."""
    return {
        thread.ident or 0
        for thread in threading.enumerate()
        if not isinstance(thread, threading._DummyThread) and type(thread).__module__.split(".")[0] != "tqdm"
    }


def _bare_threads() -> int:
    """How many there are that Python has started without an object for each."""
    known = set(threading.enumerate()) - {threading.main_thread()}
    return _thread._count() - sum(not isinstance(thread, threading._DummyThread) for thread in known)


def _tasks() -> set[str]:
    """The system's threads of this process, Python's and others; none where it does not tell."""
    try:
        return {path.name for path in Path("/proc/self/task").iterdir()}
    except OSError:
        return set()


def _to_run(tasks: set[str]) -> bool:
    """Whether one of them waits for a core."""
    for task in tasks:
        with contextlib.suppress(OSError, IndexError):
            if Path(f"/proc/self/task/{task}/stat").read_text().rpartition(")")[2].split()[0] == "R":
                return True
    return False


def _threads_left(before: set[int], bare: int, tasks: set[str]) -> list[str]:
    """Threads that go on after a moment in which they may end."""
    end = monotonic() + _THREADS_END_SECONDS
    sleep(0.001)  # one that was just started is counted when it first runs, which on a busy machine takes longer
    while _to_run(_tasks() - tasks) and monotonic() < end:
        sleep(0.001)
    while _threads() - before or _bare_threads() > bare:
        if monotonic() > end:
            return ["a running thread"]
        sleep(0.01)
    return []


if "torch" in sys.modules:
    _torch_came()
    _torch_at_first.update(
        {name: value for name, value in documented(sys.modules["torch"]).items() if name in _torch_at_first}
    )
sys.meta_path.insert(0, _FirstLook())
