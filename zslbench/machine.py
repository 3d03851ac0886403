"""What this machine lends to a process: less than it has, where a container or a batch system says so."""

import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Literal

from zslbench.errors import InputError
from zslbench.spelling import argument

Device = Literal["auto", "cpu", "cuda"]
_ROOT = Path("/")
_UNLIMITED = 1 << 60
"""Version 1 of control groups has no word for it, only a number near this one or beyond."""


def cores(root: Path = _ROOT) -> int:
    """The cores this process may use: those it is bound to, or fewer if its quota of time is worth fewer.

    Args:
        root: where ``proc`` and ``sys`` are, for tests.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(1, min([bound, *map(math.ceil, _quotas(root))]))


def memory(root: Path = _ROOT) -> int:
    """The bytes of memory this process may use: the machine's, or what its control groups allow. 0 if none says."""
    host = [int(line.split()[1]) * 1024 for line in _lines(root / "proc/meminfo") if line.startswith("MemTotal:")]
    limits = [
        *_numbers(_groups(root, "", "memory.max")),
        *(limit for limit in _numbers(_groups(root, "memory", "memory.limit_in_bytes")) if limit < _UNLIMITED),
    ]
    return min([*host, *limits], default=0)


def shared_memory(root: Path = _ROOT) -> int:
    """The bytes that are free where processes share memory. 0 if there is no such place."""
    try:
        status = os.statvfs(root / "dev/shm")
    except OSError:
        return 0
    return status.f_bavail * status.f_frsize


def device_here(wanted: Device) -> Literal["cpu", "cuda"]:
    """The device that computations of this process run on.

    Raises:
        InputError: a GPU is wanted, and torch finds none.
    """
    if wanted == "cpu" or (wanted == "auto" and not _has_gpu()):
        return "cpu"  # without loading torch, which takes seconds
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise InputError(
            f"{argument('device', 'cuda')}: torch finds no GPU on this machine; use {argument('device', 'cpu')}."
        )
    return "cpu"


def _has_gpu() -> bool:
    """Whether something here speaks of a GPU, with or without its tools; asked before torch, whose import is slow."""
    return shutil.which("nvidia-smi") is not None or Path("/dev/nvidia0").exists()


def idle_gpu() -> str:
    """Why torch does not use the GPU that this machine has, in a sentence; empty where it does, or there is none."""
    if not _has_gpu() or device_here("auto") == "cuda":
        return ""
    import torch

    build = f"is built for CUDA {torch.version.cuda}" if torch.version.cuda else "is built without CUDA"
    return f"this machine has a GPU, but torch {torch.__version__} {build} and finds none: trials run on the CPU."


def _quotas(root: Path) -> Iterator[float]:
    """The share of time that each control group grants, in cores."""
    for file in _groups(root, "", "cpu.max"):  # "50000 100000", or "max 100000"
        for line in _lines(file):
            quota, _, period = line.partition(" ")
            if quota.isdecimal() and period.isdecimal() and int(period):
                yield int(quota) / int(period)
    for file in _groups(root, "cpu", "cpu.cfs_quota_us"):  # -1 for none
        periods = list(_numbers([file.with_name("cpu.cfs_period_us")]))
        for granted in _numbers([file]):
            if granted > 0 and periods and periods[0] > 0:
                yield granted / periods[0]


def _groups(root: Path, controller: str, name: str) -> Iterator[Path]:
    """The files of that name of this process's control group and of those above it; no controller: version 2.

    Inside a container the path is often the host's and only its upper end can be seen here; that end counts then.
    """
    mounts = ["sys/fs/cgroup", "sys/fs/cgroup/unified"] if not controller else [f"sys/fs/cgroup/{controller}"]
    for line in _lines(root / "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if (controller in controllers.split(",")) if controller else not controllers:
            group = PurePosixPath(os.path.normpath("/" + path.strip().lstrip("/")))
            for mount in mounts:
                for above in (group, *group.parents):
                    yield root / mount / str(above).lstrip("/") / name


def _numbers(files: Iterator[Path] | list[Path]) -> Iterator[int]:
    for file in files:
        for line in _lines(file):
            if line.strip().lstrip("-").isdecimal():
                yield int(line)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux, not in such a group, or not to be seen from here
        return []
