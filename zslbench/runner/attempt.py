"""One trial in this process, from a job to a measured outcome or a failure. Executors differ in where it runs."""

import contextlib
import importlib.metadata
import io
import os
import platform
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from zslbench.configuration import MethodSpec
from zslbench.datasets import DataView
from zslbench.errors import InputError
from zslbench.methods import Method, MethodInfo
from zslbench.plaintext import plain
from zslbench.protocol import Measured, MethodError, run_trial, trial_seed
from zslbench.records import Failure, Run, Trial
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


def attempt(
    registry: Registry,
    view: DataView,
    trial: Trial,
    split: Split,
    *,
    executor: str,
    device: str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
    printed: "Printed | None" = None,
    passes: tuple[type[BaseException], ...] = (KeyboardInterrupt,),
    debugger: Debugger | None = None,
    keep_model: bool = False,
) -> Attempt:
    """Run one trial. Whatever the method raises becomes a failure.

    Args:
        registry: where the method is found.
        view: the data.
        trial: what to run.
        split: the trial's split.
        executor: who runs it, for the record.
        device: ``cpu`` or ``cuda``, for methods that use it.
        progress: told the epochs done and in all.
        printed: collects what the method prints, so that it can be read meanwhile.
        passes: what is not the method's doing, Ctrl-C in this process, and passes through.
        debugger: lets a person into the trial; None where nobody is there.
        keep_model: whether the fitted method is handed back, if this is a trial of the test stage.
    """
    with contextlib.suppress(InputError):  # said below; imported before anything is noted
        device = device_of(registry.get(trial.method).info, device)
    run = new_run(executor, device)
    printed = Printed() if printed is None else printed
    measured, failure, keeper = None, None, _Keeper(keep_model and trial.stage == "test")
    # What fails outside of the inner block is this process's fault, and passes through.
    with undisturbed(registry.owner(trial.method), trial_seed(view, split, trial.seed)) as traces:
        try:
            with _captured(printed) as let_through, _reachable(debugger, let_through):
                # From the trial's own configuration, so that what its key names is what runs; and first, so that the
                # libraries that the method's module loads are limited too.
                method, config, _ = registry.build(MethodSpec(trial.method, trial.config))
                with limited_threads(THREADS):
                    measured = run_trial(
                        method, config, view, split, trial.stage, trial.seed, shots=trial.shots, device=device,
                        progress=progress, keep=keeper,
                    )  # fmt: skip
        except passes:
            raise
        except BaseException as error:
            failure = describe_failure(error)
            if debugger is not None:
                debugger.failed(error, printed.getvalue())
    if measured is not None:
        try:
            check_untampered(traces[0])
        except MethodError as error:
            measured, failure = None, describe_failure(error)
    run.finished = now()
    run.device_name = run.device_name or _device_name(device)
    run.versions |= _cuda_versions(device)
    if measured is not None:
        run.fit_seconds, run.score_seconds = measured.fit_seconds, measured.score_seconds
        run.peak_mb = measured.peak_mb
    log = printed.getvalue()[-_LOG_CHARACTERS:] + "".join(
        f"zslbench: the method left {one}\n" for one in told(traces[0])
    )
    ended = Attempt(measured, failure, run, log, traces[0], _gpu_mb(device))
    if measured is not None:
        ended.model, ended.unkept = keeper.model, keeper.unkept
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
