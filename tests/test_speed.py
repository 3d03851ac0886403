"""The benchmarks of speed count and simulate what they say."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks" / "speed"


@pytest.fixture(scope="module")
def benchmark() -> Iterator[Any]:
    """A function that imports a benchmark by its name."""
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module
    sys.path.remove(str(FOLDER))


def train(fused: bool) -> None:
    """Three steps of a layer of 7 x 5 and one of 5 x 2."""
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
    optimiser = torch.optim.Adam(model.parameters(), fused=fused)
    for _ in range(3):
        optimiser.zero_grad()
        model(torch.ones(4, 7)).square().sum().backward()
        optimiser.step()


@pytest.mark.parametrize("fused", [True, False])
def test_products_and_steps_are_counted(benchmark: Any, fused: bool) -> None:
    """As many operations as torch's own counter says, by hand 2mkn for each product, and the optimiser's parameters."""
    from torch.utils.flop_counter import FlopCounterMode

    limits = benchmark("limits")
    work = limits.Work()
    with limits.Counting(work).counting():
        train(fused)
    with FlopCounterMode(display=False) as counter:
        train(fused)
    by_hand = 3 * 2 * 4 * (7 * 5 + 5 * 2 + 7 * 5 + 5 * 2 + 5 * 2)  # forwards, to the weights, and to the hidden layer
    assert work.flops == counter.get_total_flops() == by_hand
    assert work.flops == sum(product.flops * count for product, count in work.products.items())
    assert work.updated == {7 * 5 + 5 + 5 * 2 + 2: 3}


def test_a_floor_takes_some_time(benchmark: Any) -> None:
    """Of products and of memory, more than nothing each; twice the products take about twice as long."""
    limits = benchmark("limits")
    limits.PASS_SECONDS = 0.002
    work = limits.Work()
    with limits.Counting(work).counting():
        train(True)
    products, memory = limits.floor_of(work)
    assert products > 0
    assert memory > 0


def test_closed_forms_are_those_of_the_methods(benchmark: Any) -> None:
    """A ridge regression of the benchmark solves the normal equations, by either Gram matrix."""
    limits = benchmark("limits")
    for images, inputs in ((30, 6), (6, 30)):
        X, T = limits._drawn(images, inputs), limits._drawn(images, 2)
        solved = limits._ridge(images, inputs, 2)
        penalty = 1e3 * max(images, inputs)
        expected = np.linalg.solve(X.T @ X + penalty * np.eye(inputs), X.T @ T)
        np.testing.assert_allclose(solved(), expected, rtol=1e-8)
        np.testing.assert_allclose(solved(), expected, rtol=1e-8)  # a second time, as it is timed


def test_simulated_workers_keep_busy(benchmark: Any) -> None:
    """Of the real driver: ten workers with trials of ten seconds do all of them, near a tenth of the time of one."""
    slots = benchmark("slots")
    few, many = (slots.simulated(workers, 10.0, 3, slots.result_of_a_trial(), slots.Costs()) for workers in (1, 10))
    for row in (few, many):
        assert 0 < row["driver_share"] < 0.2
        assert 0.9 < row["workers_busy"] <= 1
    assert 7 < many["records_per_s"] / few["records_per_s"] < 13
