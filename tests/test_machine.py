"""What a process may use: less than the machine has, where a control group says so."""

from pathlib import Path

import pytest

from zslbench import machine

GIB = 1 << 30


def fake(root: Path, groups: str, **files: object) -> Path:
    """A root folder with these control groups, and files under ``sys/fs/cgroup``."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    (root / "proc/meminfo").write_text(f"MemTotal:       {16 * GIB // 1024} kB\nMemFree: 1 kB\n")
    for name, content in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


QUOTAS = {
    "none": ("0::/", {}, 8),
    "no limit": ("0::/", {"cpu.max": "max 100000"}, 8),
    "half a core": ("0::/", {"cpu.max": "50000 100000"}, 1),
    "two and a half": ("0::/a.scope", {"a.scope/cpu.max": "250000 100000"}, 3),
    "a parent's": ("0::/jobs/one", {"jobs/cpu.max": "200000 100000", "jobs/one/cpu.max": "max 100000"}, 2),
    "the lowest": ("0::/jobs/one", {"jobs/cpu.max": "400000 100000", "jobs/one/cpu.max": "100000 100000"}, 1),
    "beyond the machine": ("0::/", {"cpu.max": "6400000 100000"}, 8),
    "host's path in a container": ("0::/docker/0123", {"cpu.max": "300000 100000"}, 3),
    "above this namespace": ("0::/../..", {"cpu.max": "300000 100000"}, 3),
    "a mixed mount": ("4:memory:/\n0::/a", {"unified/a/cpu.max": "100000 100000"}, 1),
    "version 1": ("4:cpu,cpuacct:/a", {"cpu/a/cpu.cfs_quota_us": 150000, "cpu/a/cpu.cfs_period_us": 100000}, 2),
    "version 1, none": ("4:cpu:/", {"cpu/cpu.cfs_quota_us": -1, "cpu/cpu.cfs_period_us": 100000}, 8),
    "version 1, no period": ("4:cpu:/", {"cpu/cpu.cfs_quota_us": 100000}, 8),
    "nonsense": ("0::/\nx\n::", {"cpu.max": "a lot\n\n7"}, 8),
    "a period of 0": ("0::/", {"cpu.max": "100000 0"}, 8),
}


@pytest.mark.parametrize("case", QUOTAS)
def test_cores_are_those_of_the_quota(tmp_path, monkeypatch, case):
    """The least of what the process is bound to and of its groups' quotas, rounded up, and at least one."""
    groups, files, expected = QUOTAS[case]
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda process: set(range(8)))
    assert machine.cores(fake(tmp_path, groups, **files)) == expected


MEMORY = {
    "the machine's": ("0::/", {}, 16),
    "a limit": ("0::/a", {"a/memory.max": 4 * GIB}, 4),
    "none": ("0::/a", {"a/memory.max": "max"}, 16),
    "a parent's": ("0::/a/b", {"a/memory.max": 2 * GIB, "a/b/memory.max": "max"}, 2),
    "version 1": ("9:memory:/a", {"memory/a/memory.limit_in_bytes": 3 * GIB}, 3),
    "version 1, none": ("9:memory:/a", {"memory/a/memory.limit_in_bytes": 0x7FFFFFFFFFFFF000}, 16),
    "more than there is": ("0::/a", {"a/memory.max": 64 * GIB}, 16),
}


@pytest.mark.parametrize("case", MEMORY)
def test_memory_is_what_the_groups_allow(tmp_path, case):
    """The least of what the machine has and of what its groups allow."""
    groups, files, expected = MEMORY[case]
    assert machine.memory(fake(tmp_path, groups, **files)) == expected * GIB


def test_a_system_that_says_nothing(tmp_path):
    """Without Linux's files there is no quota, and no figure for memory."""
    assert machine.cores(tmp_path) >= 1
    assert (machine.memory(tmp_path), machine.shared_memory(tmp_path)) == (0, 0)
