"""Trials of a serial run in a process of their own: those that must not, or may not, run in this one."""

import contextlib
import io
import json
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from zslbench.datasets import DataView
from zslbench.errors import InputError
from zslbench.plugins import Plugin
from zslbench.records import Failure
from zslbench.registry import Registry
from zslbench.runner.attempt import (
    Attempt,
    Timeout,
    Undone,
    describe_failure,
    device_of,
    new_run,
    now,
    read_printed,
    traces_of,
)
from zslbench.runner.children import die_with_parent
from zslbench.runner.events import MAX_ATTEMPTS, Events, Returned, finished, returned, started
from zslbench.runner.stacks import Reason, Stack, Stacks

_START_SECONDS = 600
_AT_ONCE = 2
_LENGTH = struct.Struct("!Q")
_CHILD = """
import json, sys
sys.path[:] = json.loads(sys.argv.pop())
from zslbench.runner.apart import _serve
_serve()
"""


class DiedError(Exception):
    """The process ended without an answer."""


class Apart:
    """Runs trials in fresh processes, one for each owner of methods; a process that was spoiled is ended.

    Args:
        registry: where the methods are found.
        view: the data.
        device: ``cpu`` or ``cuda``.
        timeout: seconds per trial; None for no limit.
        keep_models: whether fitted methods are handed back.
        stacks: says in what smaller stacks jobs run of one that gave nothing.
    """

    def __init__(
        self, registry: Registry, view: DataView, device: str, timeout: float | None, keep_models: bool,
        stacks: Stacks,
    ) -> None:  # fmt: skip
        self.registry, self.view, self.device, self.timeout = registry, view, device, timeout
        self.keep_models, self.stacks = keep_models, stacks
        self._processes: dict[str, _Process] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="zslbench-", ignore_cleanup_errors=True)

    def start(self, owner: str) -> "_Process":
        """The process for the methods of that owner, which is started if need be and not waited for."""
        process = self._processes.pop(owner, None)
        if process is None:
            while len(self._processes) >= _AT_ONCE:
                self._processes.pop(next(iter(self._processes))).end()
            process = _Process(self.registry.plugins_of(owner), self.view, self.device, self.keep_models)
        self._processes[owner] = process  # the last one is the one used last
        return process

    def run(self, stack: Stack) -> Events:
        """Run the jobs of a stack and say how they ended: one alone after a death again, several in smaller stacks."""
        job, several = stack[0], len(stack) > 1
        owner = self.registry.owner(job.trial.method)
        limit = self.timeout and self.timeout * len(stack)
        for tries in range(1, MAX_ATTEMPTS + 1):
            process, begun = self.start(owner), new_run("serial", device_of(job.info, self.device))
            place = Path(self._folder.name, f"{job.trial.key}-{len(stack)}-{tries}")
            ended: list[Attempt] | Undone
            try:
                ended = process.run(stack, place, limit)
            except (DiedError, TimeoutError) as error:
                self._processes.pop(owner).end()
                late = isinstance(error, TimeoutError)
                if several:
                    yield from self._divided(stack, "late" if late else "died", str(error))
                    return
                if not late and tries < MAX_ATTEMPTS:
                    yield Returned(job, f"its process died, attempt {tries} of {MAX_ATTEMPTS}")
                    continue
                failure = describe_failure(Timeout(self.timeout or 0)) if late else _death(error, tries)
                ended = [Attempt(None, failure, begun, read_printed(place))]
                ended[0].run.finished = now()
            if traces_of(ended).lasting:
                self._processes.pop(owner).end()
            if isinstance(ended, Undone):
                yield from self._divided(stack, ended.why, ended.said)
                return
            for each in ended:
                each.run.attempt = tries
            yield from finished(stack, ended)
            return

    def _divided(self, stack: Stack, why: Reason, said: str) -> Events:
        """Run the jobs of a stack that gave nothing in smaller ones."""
        parts, told = self.stacks.divided(stack, why, said, self.timeout or 0)
        yield from returned(stack, told)
        for part in parts:
            yield from started(part)
            yield from self.run(part)

    def close(self) -> None:
        """End all processes, whatever they do."""
        while self._processes:
            self._processes.popitem()[1].end()
        self._folder.cleanup()


def _death(error: BaseException, tries: int) -> Failure:
    return Failure("WorkerDied", f"its process died {tries} times while it ran this trial.", str(error))


class _Process:
    def __init__(self, plugins: list[Plugin], view: DataView, device: str, keep_models: bool) -> None:
        # A group of its own, so that Ctrl-C at a terminal is this process's to handle, and its children end with it.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CHILD, json.dumps(sys.path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        self._ready = False
        with contextlib.suppress(OSError):  # it died: the next answer says so
            _send(self._to, _packed((plugins, view, device, keep_models)))

    def run(self, stack: Stack, place: Path, timeout: float | None) -> list[Attempt] | Undone:
        if not self._ready:
            if complaint := self._answer(_START_SECONDS):
                raise InputError(f"a process for trials cannot start: {complaint}")
            self._ready = True
        with contextlib.suppress(OSError):
            asked = [job.trial for job in stack], [job.split for job in stack], str(place)
            _send(self._to, pickle.dumps(asked))
        answer: list[Attempt] | Undone | str = self._answer(timeout)
        if isinstance(answer, str):
            raise DiedError(answer)
        return answer

    def _answer(self, seconds: float | None) -> Any:
        end = None if seconds is None else time.monotonic() + seconds
        data = b""
        while len(data) < _LENGTH.size or len(data) < _LENGTH.size + _LENGTH.unpack_from(data)[0]:
            left = None if end is None else max(0.0, end - time.monotonic())
            if not select.select([self._from], [], [], left)[0]:
                raise TimeoutError
            if not (part := os.read(self._from.fileno(), 1 << 20)):
                code = self._process.wait()
                raise DiedError(
                    f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
                )
            data += part
        return pickle.loads(data[_LENGTH.size :])  # noqa: S301  our own child's

    def end(self) -> None:
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()  # where a method has moved it into another group
        self._process.wait()
        for pipe in (self._to, self._from):
            with contextlib.suppress(OSError):
                pipe.close()


def _send(to: Any, data: bytes) -> None:
    to.write(_LENGTH.pack(len(data)) + data)
    to.flush()


class _Packer(pickle.Pickler):
    """Memory maps are opened anew by the reader, not copied."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is np.memmap and value.filename is not None and value.flags.c_contiguous:
            start = value.__array_interface__["data"][0]
            base = value
            while isinstance(base.base, np.memmap):
                base = base.base
            offset = base.offset + start - base.__array_interface__["data"][0]
            return _memory_map, (value.filename, value.dtype, offset, value.shape)
        return NotImplemented


def _memory_map(path: str, dtype: Any, offset: int, shape: tuple[int, ...]) -> Any:
    return np.memmap(path, dtype, "r", offset, shape)


def _packed(value: Any) -> bytes:
    buffer = io.BytesIO()
    _Packer(buffer, pickle.HIGHEST_PROTOCOL).dump(value)
    return buffer.getvalue()


# In the process


def _serve() -> None:
    """Run trials as they come, until this process is ended."""
    die_with_parent()
    to, come = os.dup(1), os.dup(0)
    os.dup2(2, 1)  # what methods print by themselves must not get among the answers
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with os.fdopen(come, "rb") as requests, os.fdopen(to, "wb") as answers:
        from zslbench.runner.worker import Worker

        try:
            plugins, view, device, keep = pickle.loads(_received(requests))  # noqa: S301  our own parent's
            worker = Worker(plugins, view, device, keep_models=keep)
        except Exception as error:
            _send(answers, pickle.dumps(f"{type(error).__name__}: {error}"))
            return
        _send(answers, pickle.dumps(""))
        while data := _received(requests):
            trials, splits, place = pickle.loads(data)  # noqa: S301
            try:
                ended = worker.run(trials, place, "serial", *splits)
            except Exception:  # not the method's: this process is not what it was, and a new one takes the trial over
                _send(answers, pickle.dumps(traceback.format_exc()))
                break
            _send(answers, pickle.dumps(ended))
    os._exit(0)


def _received(requests: Any) -> bytes:
    head = requests.read(_LENGTH.size)
    return requests.read(_LENGTH.unpack(head)[0]) if len(head) == _LENGTH.size else b""
