"""One trial, or a stack of them, in this process: from jobs to measured outcomes or failures. Executors differ in where
they run."""

import contextlib
import importlib.metadata
import io
import os
import platform
import socket
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from zslbench.configuration import MethodSpec
from zslbench.datasets import DataView
from zslbench.errors import InputError
from zslbench.methods import Method, MethodInfo, is_out_of_memory
from zslbench.plaintext import plain
from zslbench.protocol import Fitted, Game, Measured, MethodError, fit_trial, fit_trials, score, trial_seed
from zslbench.records import STACK, Failure, Run, Trial
from zslbench.registry import Registry
from zslbench.runner.debugging import Debugger, plain_stream
from zslbench.runner.durations import clock
from zslbench.runner.surroundings import Traces, listed, told, undisturbed
from zslbench.splits import Split

THREADS = 1
"""Per trial, always: more would make sums depend on the machine, and trials are run side by side instead."""
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_TRACEBACK_LINES = 30
_MESSAGE_CHARACTERS = 2_000
_LOG_CHARACTERS = 1_000_000


@dataclass
class Attempt:
    """What running a trial gave: exactly one of `measured` and `failure`."""

    measured: Measured | None
    failure: Failure | None
    run: Run
    log: str
    """What the method printed."""
    traces: Traces = field(default_factory=Traces)
    """What it left behind in its process."""
    gpu_mb: float | None = None
    """The memory of the GPU that it ran on, in MiB."""
    model: bytes | None = None
    """The fitted method as `zslbench.models.file.written_method` writes it, where it was to be kept and can be."""
    unkept: str = ""
    """Why it cannot be kept; empty where it can, or was not to be."""


def device_of(info: MethodInfo, device: str) -> str:
    """Where trials of a method run, where others run on `device`: one that does not use a GPU needs none."""
    return device if info.uses_gpu else "cpu"


class Undone(NamedTuple):
    """A stack that gave nothing, for a reason that concerns all of its trials, or one of them that is not known."""

    failure: Failure
    memory: bool
    """Whether there was too little of it."""
    traces: Traces

    @property
    def why(self) -> Literal["memory", "failed"]:
        """The reason, as `zslbench.runner.stacks.Stacks.divided` asks for it."""
        return "memory" if self.memory else "failed"

    @property
    def said(self) -> str:
        """The failure in a few words."""
        return plain(f"{self.failure.type}: {self.failure.message}")


def traces_of(ended: list[Attempt] | Undone) -> Traces:
    """What was left behind by all that ran together."""
    return ended.traces if isinstance(ended, Undone) else ended[0].traces


def attempt(registry: Registry, view: DataView, trial: Trial, split: Split, **options: Any) -> Attempt:
    """Run one trial; `options` as of `attempt_stack`. Whatever the method raises becomes a failure."""
    ended = attempt_stack(registry, view, [(trial, split)], **options)
    assert not isinstance(ended, Undone)
    return ended[0]


def attempt_stack(
    registry: Registry,
    view: DataView,
    stack: Sequence[tuple[Trial, Split]],
    *,
    executor: str,
    device: str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
    printed: "Printed | None" = None,
    passes: tuple[type[BaseException], ...] = (KeyboardInterrupt,),
    debugger: Debugger | None = None,
    keep_model: bool = False,
) -> list[Attempt] | Undone:
    """Run one trial, or several of them side by side as one program. Whatever the method raises becomes a failure.

    Args:
        registry: where the method is found.
        view: the data.
        stack: trials with their splits; of one method, one stage and equally many shots.
        executor: who runs them, for the record.
        device: ``cpu`` or ``cuda``, for methods that use it.
        progress: told the epochs done and in all.
        printed: collects what the method prints, so that it can be read meanwhile.
        passes: what is not the method's doing, Ctrl-C in this process, and passes through.
        debugger: lets a person into the trials; None where nobody is there.
        keep_model: whether fitted methods are handed back, if these are trials of the test stage.

    Returns:
        What each of them gave, in order; or, of several, why none gave anything.
    """
    first, split = stack[0]
    alone = len(stack) == 1
    with contextlib.suppress(InputError):  # said below; imported before anything is noted
        device = device_of(registry.get(first.method).info, device)
    printed = Printed() if printed is None else printed
    members = [_Member(trial, split, new_run(executor, device), keep_model) for trial, split in stack]
    undone: tuple[Failure, bool] | None = None
    # What fails outside of the inner block is this process's fault, and passes through.
    with undisturbed(registry.owner(first.method), trial_seed(view, split, first.seed)) as traces:
        try:
            with _captured(printed) as let_through, _reachable(debugger, let_through):
                # From the trials' own configurations, so that what their keys name is what runs; and first, so that
                # the libraries that the method's module loads are limited too.
                built = [registry.build(MethodSpec(trial.method, trial.config)) for trial, _ in stack]
                method = built[0][0]
                games = [member.game(config) for member, (_, config, _) in zip(members, built, strict=True)]
                how: Any = {"device": device, "progress": progress}
                with limited_threads(THREADS):
                    if alone:
                        members[0].measure(fit_trial(method, games[0], view, first.stage, first.shots, **how), device)
                    else:
                        fitted = fit_trials(method, games, view, first.stage, first.shots, **how)
                        head = printed.getvalue()
                        for member in members:  # taken out of the list: a fitted method may hold much memory
                            _score_apart(member, fitted.pop(0), device, printed, head, passes)
        except passes:
            raise
        except BaseException as error:
            if alone:
                members[0].failure = describe_failure(error)
            else:
                undone = describe_failure(error), is_out_of_memory(error)
            if debugger is not None:
                debugger.failed(error, printed.getvalue())
    if undone is not None:
        return Undone(*undone, traces[0])
    if alone:
        members[0].printed = printed.getvalue()
    return [member.ended(device, traces[0], len(stack)) for member in members]


def _score_apart(
    member: "_Member", fitted: Fitted | Exception, device: str, printed: "Printed", head: str,
    passes: tuple[type[BaseException], ...],
) -> None:  # fmt: skip
    """Measure one trial of a stack; what goes wrong is its own affair, unless memory runs out.

    Args:
        member: the trial.
        fitted: what the stack's fit gave for it.
        device: where it is measured.
        printed: what all of them print.
        head: what was printed while they were fitted.
        passes: as of `attempt_stack`.
    """
    said = len(printed.getvalue())
    try:
        if isinstance(fitted, Exception):
            raise fitted
        member.measure(fitted, device)
    except passes:
        raise
    except BaseException as error:
        if is_out_of_memory(error):
            raise
        member.failure = describe_failure(error)
    member.printed = head + printed.getvalue()[said:]
    member.run.finished = now()


class _Member:
    """One of the trials that run here together, or the only one."""

    def __init__(self, trial: Trial, split: Split, run: Run, keep_model: bool) -> None:
        self.trial, self.split, self.run = trial, split, run
        self.keeper = _Keeper(keep_model and trial.stage == "test")
        self.measured: Measured | None = None
        self.failure: Failure | None = None
        self.printed = ""
        self._runs_as: list[str] = []

    def game(self, config: Any) -> Game:
        """What its method is fitted to."""
        return Game(config, self.split, self.trial.seed, self._runs_as.append)

    def measure(self, fitted: Fitted, device: str) -> None:
        """Take down the fitted method, if it is wanted, and measure it."""
        self.measured = score(fitted, device=device, keep=self.keeper)

    def ended(self, device: str, traces: Traces, members: int) -> Attempt:
        """What it gave.

        Args:
            device: where it ran.
            traces: what was left behind, by all of them.
            members: how many ran together.
        """
        run, measured = self.run, self.measured
        if measured is not None:
            try:
                check_untampered(traces)
            except MethodError as error:
                measured, self.failure = None, describe_failure(error)
        run.finished = run.finished or now()
        run.device_name = run.device_name or _device_name(device)
        run.versions |= _cuda_versions(device)
        if measured is not None:
            run.fit_seconds, run.score_seconds = measured.fit_seconds, measured.score_seconds
            run.peak_mb = measured.peak_mb
        if said := [*([f"{STACK}{members}"] if members > 1 else []), *dict.fromkeys(self._runs_as)]:
            run.execution = plain(", ".join(map(str, said)), 200)
        log = self.printed[-_LOG_CHARACTERS:] + "".join(f"zslbench: the method left {one}\n" for one in told(traces))
        ended = Attempt(measured, self.failure, run, log, traces, _gpu_mb(device))
        if measured is not None:
            ended.model, ended.unkept = self.keeper.model, self.keeper.unkept
        return ended


class _Keeper:
    """Takes a fitted method down before it scores anything, so that its file is that of `zslbench fit`."""

    def __init__(self, wanted: bool) -> None:
        self.wanted, self.unkept = wanted, ""
        self.model: bytes | None = None

    def __call__(self, fitted: Method) -> None:
        if not self.wanted:
            return
        from zslbench.models.file import written_method
        from zslbench.models.state import StateError

        if fitted.info.oracle:
            self.unkept = "it is a bound that is told the answers"
            return
        try:
            self.model = written_method(fitted)
        except StateError as error:
            self.unkept = plain(error, 300)
        except Exception as error:  # whatever a stranger's object does when it is looked at; the trial goes on
            self.unkept = plain(f"{type(error).__name__}: {error}", 300)


def check_untampered(traces: Traces) -> None:
    """Refuse numbers that were made with something else than what they are made with.

    Raises:
        MethodError: the method replaced some of it.
    """
    if traces.tampered:
        raise MethodError(
            f"it replaced {listed(traces.tampered)}, which it is measured with: its numbers are worth nothing."
        )


def new_run(executor: str, device: str = "cpu") -> Run:
    """What is known of a run when it begins here."""
    return Run(
        started=now(), device=device, device_name=_device_name(device) if device == "cpu" else "", threads=THREADS,
        executor=executor, host=socket.gethostname(), versions=_versions(),
    )  # fmt: skip


class Printed(io.StringIO):
    """What a method prints; it may close its stdout as it likes.

    Args:
        place: a file to write it to as well, from where it can be read if this process dies.
    """

    def __init__(self, place: Path | None = None) -> None:
        super().__init__()
        self._place, self._file, self._identity = place, -1, (0, 0)

    def close(self) -> None:
        """Stay open."""

    def write(self, text: str) -> int:
        """Keep it."""
        if self._place is not None:
            with contextlib.suppress(OSError):
                self._open()
                os.write(self._file, text.encode("utf-8", "replace"))
        return super().write(text)

    def _open(self) -> None:
        """Unless it is open already."""
        if not self._is_open():
            assert self._place is not None
            self._file = os.open(self._place, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
            status = os.fstat(self._file)
            self._identity = status.st_dev, status.st_ino

    def _is_open(self) -> bool:
        """A method may have closed it, and another file may have its number now."""
        with contextlib.suppress(OSError):
            status = os.fstat(self._file)
            return (status.st_dev, status.st_ino) == self._identity
        return False

    def discard(self) -> None:
        """Remove the file: the process lives."""
        if self._place is not None and self._file >= 0:
            if self._is_open():
                os.close(self._file)
            self._place.unlink(missing_ok=True)


def read_printed(place: Path) -> str:
    """The end of what a method printed before its process died."""
    with contextlib.suppress(OSError), open(place, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _LOG_CHARACTERS))
        return file.read().decode("utf-8", "replace")
    return ""


class Timeout(BaseException):
    """The trial ran longer than it may; no `Exception`, so that a method that catches those does not go on."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"stopped after {clock(seconds)}, as the timeout says.")


def describe_failure(error: BaseException) -> Failure:
    """An exception as a record keeps it."""
    try:
        message = str(error)
    except BaseException:  # a broken __str__ must not end the run, whatever it raises
        message = "an error without a readable message"
    lines = "".join(traceback.format_exception(error)).splitlines()
    return Failure(
        type(error).__name__,
        _storable(message[:_MESSAGE_CHARACTERS]),
        _storable("\n".join(lines[-_TRACEBACK_LINES:])),
    )


def _storable(text: str) -> str:
    """Text that JSON can hold: half characters, as in the names of oddly encoded files, are replaced."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _reachable(debugger: Debugger | None, let_through: Callable[[], None]) -> contextlib.AbstractContextManager[None]:
    return debugger.reachable(let_through) if debugger else contextlib.nullcontext()


@contextlib.contextmanager
def _captured(printed: io.StringIO) -> Iterator[Callable[[], None]]:
    """Collect what is printed; what native code and subprocesses print goes to stderr, never among the results.

    Hands out what ends this before the block does, for a person at a debugger's prompt.
    """
    before = [getattr(stream, "rich_proxied_file", stream) for stream in (sys.stdout, sys.stderr)]
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            stdout = os.dup(1)
            os.dup2(2, 1)
        except OSError:  # closed by whoever started this process
            stdout = -1

        def let_through() -> None:
            if before[0].isatty() and stdout >= 0:
                os.dup2(stdout, 1)
            sys.stderr = plain_stream(before[1])
            sys.stdout = plain_stream(before[0]) if before[0].isatty() else sys.stderr  # else there go the results
            sys.stdout.write(printed.getvalue())

        try:
            yield let_through
        finally:
            for stream in {sys.stdout, sys.stderr}:
                with contextlib.suppress(ValueError):  # it is closed
                    stream.flush()
            if stdout >= 0:
                with contextlib.suppress(OSError):  # a method may have closed them all; that is mended elsewhere
                    os.dup2(stdout, 1)
                    os.close(stdout)


@contextlib.contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """Hold BLAS, OpenMP and torch to `count` threads: thread counts change the order of sums."""
    from threadpoolctl import threadpool_limits

    torch = sys.modules.get("torch")  # not imported here: that takes seconds, and a NumPy method need not pay them
    torch_threads = torch.get_num_threads() if torch else 0
    # Libraries that are loaded only now, inside the block, read these.
    variables = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(count)))
    if torch:
        torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        if torch:
            torch.set_num_threads(torch_threads)
        for name, value in variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@cache
def _versions() -> dict[str, str]:
    versions = {}
    for name in ("zslbench", "numpy", "scipy", "torch", "ray"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # without Ray trials run in this process
            versions[name] = importlib.metadata.version(name)
    return {"python": platform.python_version(), **versions, "platform": sys.platform}


def _cuda_versions(device: str) -> dict[str, str]:
    """What else decides about numbers on a GPU; asked after the trial, when a method that used it has loaded torch."""
    torch = sys.modules.get("torch") if device.startswith("cuda") else None
    if torch is None:
        return {}
    return {"cuda": str(torch.version.cuda), "float32 matmul": torch.get_float32_matmul_precision()}


def _gpu_mb(device: str) -> float | None:
    torch = sys.modules.get("torch") if device.startswith("cuda") else None
    if torch is None or not torch.cuda.is_initialized():
        return None
    return float(torch.cuda.get_device_properties(device).total_memory / 2**20)


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        # Asked after the trial: a method that used the GPU has loaded torch by then.
        torch = sys.modules.get("torch")
        return torch.cuda.get_device_name(device) if torch and torch.cuda.is_available() else ""
    return _processor()


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # not Linux, or a processor that does not name itself
        return platform.processor() or platform.machine()


def now() -> str:
    """UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
