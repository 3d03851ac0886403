"""How many trials run where: cores and GPUs, and how many share a GPU."""

from types import SimpleNamespace

import pytest

from zslbench.runner.cluster import Slots
from zslbench.runner.pool import Lane, Pool, fitting


def test_every_trial_takes_a_core_and_some_a_share_of_a_gpu():
    """Ray is asked for a core by each, and for a GPU's share by those that use one."""
    slots = Slots(8, 2, 4, 1, True)
    assert slots.resources("cpu") == {"num_cpus": 1}
    assert slots.resources("cuda", 4) == {"num_cpus": 1, "num_gpus": 0.25}
    assert [slots.on_gpus(per_gpu) for per_gpu in (1, 3, 4, 16)] == [2, 6, 8, 8]
    assert Slots(8, 0, 4, 1, True).on_gpus(4) == 0


@pytest.mark.parametrize(
    ("peak", "gpu", "expected"),
    [(400, 143_771, 107), (4_000, 24_000, 3), (100, 8_000, 9), (30_000, 24_000, 1), (0, 143_771, 215)],
)
def test_how_many_fit_on_a_gpu(peak, gpu, expected):
    """Nine tenths of its memory over what a trial takes, with half as much again and a process's own."""
    assert fitting(peak, gpu) == expected


@pytest.mark.parametrize(("cores", "peak", "shared"), [(16, 400.0, 8), (16, 20_000.0, 2), (2, 400.0, 1), (16, None, 1)])
def test_the_first_trial_says_how_many_share_a_gpu(cores, peak, shared):
    """By its memory, bounded by the cores per GPU, told once; without a measurement one trial at a time goes on."""
    pool = Pool.__new__(Pool)
    pool.slots, pool.per_gpu, pool.judging = Slots(cores, 2, None, 1, True), 1, True
    pool.idle, pool.starting = [], {}
    result = SimpleNamespace(measured=SimpleNamespace(peak_mb=peak), gpu_mb=81_920.0)
    told = [*pool._judge(result), *pool._judge(result)]
    assert pool.per_gpu == shared
    assert len(told) == (peak is not None)
    assert pool.judging == (peak is None)


def pool_of(slots: Slots, per_gpu: int) -> Pool:
    """A pool without a Ray behind it."""
    pool = Pool.__new__(Pool)
    pool.slots, pool.per_gpu, pool.judging = slots, per_gpu, False
    pool.idle, pool.starting, pool.tasks = [], {}, {}
    pool._kill = lambda actor: None  # type: ignore[method-assign]
    return pool


def task_of(per_gpu: int) -> SimpleNamespace:
    return SimpleNamespace(actor=SimpleNamespace(per_gpu=per_gpu, lane=Lane("", "cuda")))


@pytest.mark.parametrize(("asked", "rooms"), [(8, [4]), (None, [4, 2, 1])])
def test_trials_that_run_out_of_memory_get_more_room(asked, rooms):
    """Half as many share a GPU, once where a number was asked for, and down to one where it was judged; a trial that
    had a GPU for itself, or half of what was asked for, is to blame itself."""
    pool = pool_of(Slots(16, 1, asked, 1, True), 8)
    found = []
    while pool._make_room(task_of(pool.per_gpu)) is not None:
        found.append(pool.per_gpu)
    assert found == rooms


@pytest.mark.parametrize(("earlier", "room"), [([1] * 7, 3), ([1] * 8, 0), ([], 24), ([6], 0)])
def test_gpus_that_are_free_are_used_beside_trials_of_another_time(earlier, room):
    """After judging, trials that hold a GPU each leave the rest to be shared; beside trials that shared a GPU with
    more, nobody starts."""
    pool = pool_of(Slots(64, 8, None, 1, True), 3)
    pool.tasks = {at: task_of(per_gpu) for at, per_gpu in enumerate(earlier)}
    assert pool._room("cuda") == room
