"""How near each method is to what this machine's matrix products and memory allow, on UC Merced 16/5 and one thread.

    python benchmarks/speed/limits.py [--only cada,mcfa] [--repetitions 3] [--epochs 30 | --whole]

A method's *floor* is the time of what its formula cannot do without, each done alone and in the order of its operands:

- the matrix products that PyTorch was asked for while the method was fitted once, forwards and backwards, shape by
  shape (`torch.utils.flop_counter` says how many operations each is), timed by `torch.mm` and `torch.bmm` into memory
  that is there already;
- the optimiser's state: 28 bytes a parameter and step for Adam (parameter, gradient and two moments are read, three of
  them written), at the bandwidth at which this machine adds arrays of so many numbers;
- for closed forms, which are NumPy's and SciPy's, the products, factorisations and decompositions of their formulas,
  written down here method by method (`CLOSED`) and timed in double precision, as the methods compute; and the features
  read once.

Activations, losses, random numbers, batches and Python are no part of it. What a method does in NumPy step by step is
not counted, so such a method has no floor here. `fit` alone is measured: scoring, and the classifier that scores the
aligned autoencoders, are not. Methods of more than `--epochs` epochs are shortened to that many, on both sides.

Floor and method take turns, floor first and last, so that whatever else the machine does meets both; a ratio is that of
neighbours, and the figures are medians. CPU time, which other programs disturb less than the clock. The table goes to
results/limits.md and results/limits.json beside this file.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import torch
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from zslbench.datasets import load_dataset
from zslbench.methods import TrainingData
from zslbench.protocol import training_data, trial_seed
from zslbench.registry import Registry
from zslbench.runner.attempt import limited_threads, new_run
from zslbench.splits import make_splits
from zslbench.suites import read_suite

HERE = Path(__file__).resolve().parent
TARGETS = {"cada": 1.15, "mcfa": 1.5, "eszsl": 2.0, "projection": 2.0, "sae": 2.0, "gfzsl": 2.0}
"""What the ratio should not be above."""
BYTES_OF_ADAM = 7 * 4
PASS_SECONDS = 0.02
"""A product is timed for so long, at least."""


class Product(NamedTuple):
    """Matrix products (batch, m, k) x (batch, k, n); whether each operand is stored transposed."""

    batch: int
    m: int
    k: int
    n: int
    left: bool
    right: bool

    @property
    def flops(self) -> int:
        """A multiplication and an addition for each."""
        return 2 * self.batch * self.m * self.k * self.n


@dataclasses.dataclass
class Work:
    """What a fit cannot do without."""

    products: Counter[Product] = dataclasses.field(default_factory=Counter)
    updated: Counter[int] = dataclasses.field(default_factory=Counter)
    """Parameters -> steps of an optimiser over so many."""
    flops: float = 0.0
    read: int = 0
    """Bytes read once."""
    closed: Callable[[], Any] | None = None
    """A closed form's products and decompositions."""


# What torch is asked for -------------------------------------------------------------------------------------

_OPERANDS = {"mm": 0, "bmm": 0, "mv": 0, "addmm": 1, "addmm_": 1, "baddbmm": 1, "baddbmm_": 1, "addmv": 1}
"""Operation -> where its two matrices begin."""


class Counting(TorchDispatchMode):
    """Notes every matrix product, and every parameter that an optimiser updates."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self.work = work

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Called for every operation, in the backward pass too."""
        found = func(*args, **kwargs or {})
        packet = func._overloadpacket
        name = str(packet).rpartition(".")[2]
        if name in _OPERANDS:
            left, right = args[_OPERANDS[name] : _OPERANDS[name] + 2]
            product = product_of(left, right)
            self.work.products[product] += 1
            counted = flop_registry.get(packet)
            self.work.flops += counted(*args, **kwargs or {}, out_val=found) if counted else product.flops
        elif name in ("_fused_adam_", "_fused_adamw_"):
            self.work.updated[sum(parameter.numel() for parameter in args[0])] += 1
        return found

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Optimisers that are not one operation are told by their steps."""

        def stepped(optimizer: Optimizer, *_: Any) -> None:
            if not any(group.get("fused") for group in optimizer.param_groups):
                parameters = [each for group in optimizer.param_groups for each in group["params"]]
                self.work.updated[sum(each.numel() for each in parameters if each.grad is not None)] += 1

        hook = register_optimizer_step_pre_hook(stepped)
        try:
            with self:
                yield
        finally:
            hook.remove()


def product_of(left: torch.Tensor, right: torch.Tensor) -> Product:
    """Of two matrices, a matrix and a vector, or stacks of matrices."""
    right = right if right.dim() > 1 else right[:, None]
    batch = left.shape[0] if left.dim() == 3 else 1
    m, k, n = left.shape[-2], left.shape[-1], right.shape[-1]
    return Product(batch, m, k, n, _is_transposed(left), _is_transposed(right))


def _is_transposed(matrix: torch.Tensor) -> bool:
    return matrix.stride(-2) == 1 and matrix.stride(-1) > 1


# The closed forms --------------------------------------------------------------------------------------------


def _drawn(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).standard_normal(shape)


def _ridge(images: int, inputs: int, targets: int) -> Callable[[], Any]:
    """Products and Cholesky factorisation of a ridge regression, by the smaller Gram matrix."""
    X, T = _drawn(images, inputs), _drawn(images, targets)
    small = images < inputs
    eye = 1e3 * max(images, inputs) * np.eye(min(images, inputs))

    def solve() -> Any:
        gram = X @ X.T if small else X.T @ X
        gram += eye
        cross = T if small else X.T @ T
        solution = scipy.linalg.cho_solve(scipy.linalg.cho_factor(gram, lower=True, overwrite_a=True), cross)
        return X.T @ solution if small else solution

    return solve


def _eszsl(N: int, D: int, A: int, S: int) -> list[Callable[[], Any]]:
    return [_ridge(N, D, S), _ridge(S, A, D)]


def _projection(N: int, D: int, A: int, S: int) -> list[Callable[[], Any]]:
    return [_ridge(N, D, A), _ridge(N, A, D)]  # one regression each way, its default


def _sae(N: int, D: int, A: int, S: int) -> list[Callable[[], Any]]:
    X, T = _drawn(N, D), _drawn(N, A)
    few = N < D

    def solve() -> Any:
        _, P = scipy.linalg.eigh(T.T @ T)
        _, Q = scipy.linalg.eigh(X @ X.T if few else X.T @ X)
        right = P.T @ T.T @ (Q if few else X @ Q)
        solution = P @ right @ Q.T
        return solution @ X if few else solution

    return [solve]


def _gfzsl(N: int, D: int, A: int, S: int) -> list[Callable[[], Any]]:
    semantics, targets = _drawn(S, A), _drawn(S, D)

    def solve() -> Any:
        gram = semantics @ semantics.T + 1e3 * A * np.eye(S)
        return [scipy.linalg.cho_solve(scipy.linalg.cho_factor(gram, lower=True), targets) for _ in range(2)]

    return [solve]


CLOSED = {"eszsl": _eszsl, "projection": _projection, "sae": _sae, "gfzsl": _gfzsl}
"""Method -> what its formula asks of N images of D features and S classes of A semantic values."""


def closed_work(name: str, train: TrainingData) -> Work:
    """Of a closed form; floating-point operations are not added up, since decompositions have no one number."""
    (N, D), (S, A) = train.features.shape, train.semantics.shape
    steps = CLOSED[name](N, D, A, S)
    return Work(closed=lambda: [step() for step in steps], read=N * D * np.dtype(np.float32).itemsize)


# The floor ---------------------------------------------------------------------------------------------------


def seconds_of(action: Callable[[], Any]) -> float:
    """CPU seconds of one call, over as many as take long enough."""
    action()
    calls, passed = 0, 0.0
    started = time.process_time()
    while passed < PASS_SECONDS:
        action()
        calls += 1
        passed = time.process_time() - started
    return passed / calls


def product_seconds(product: Product) -> float:
    """Of one such product, alone."""
    batch, m, k, n, left, right = product
    a = torch.randn(batch, k, m).transpose(1, 2) if left else torch.randn(batch, m, k)
    b = torch.randn(batch, n, k).transpose(1, 2) if right else torch.randn(batch, k, n)
    if batch == 1:
        a, b = a[0], b[0]
    multiply, out = (torch.mm, torch.empty(m, n)) if batch == 1 else (torch.bmm, torch.empty(batch, m, n))
    return seconds_of(lambda: multiply(a, b, out=out))


def bytes_per_second(numbers: int) -> float:
    """At which arrays of so many numbers are added: two are read and one is written."""
    a, b, out = (torch.rand(numbers) for _ in range(3))
    return 12 * numbers / seconds_of(lambda: torch.add(a, b, out=out))


def floor_of(work: Work) -> tuple[float, float]:
    """Seconds of products and decompositions, and of memory."""
    products = sum(count * product_seconds(product) for product, count in work.products.items())
    if work.closed is not None:
        products += seconds_of(work.closed)
    memory = sum(
        BYTES_OF_ADAM * parameters * steps / bytes_per_second(parameters)
        for parameters, steps in work.updated.items()
        if parameters
    )
    if work.read:
        memory += work.read / bytes_per_second(work.read // 4)
    return products, memory


# The table ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Found:
    """One method's figures."""

    label: str
    epochs: int | None
    gflop: float | None
    parameters: int
    seconds: list[float]
    floors: list[tuple[float, float]]
    """One more than `seconds`: before each fit, and after the last."""

    @property
    def ratios(self) -> list[float]:
        """Of each fit over the mean of the floors before and after it."""
        both = zip(self.seconds, self.floors, self.floors[1:], strict=False)
        return [seconds / ((sum(before) + sum(after)) / 2) for seconds, before, after in both]


def measure(label: str, fit: Callable[[], None], work: Work, epochs: int | None, repetitions: int) -> Found:
    """Floor, fit, floor, fit, ..., floor."""
    found = Found(
        label, epochs, work.flops / 1e9 if work.products else None, max(work.updated, default=0), [], [floor_of(work)]
    )
    for _ in range(repetitions):
        started = time.process_time()
        fit()
        found.seconds.append(time.process_time() - started)
        found.floors.append(floor_of(work))
    return found


def shortened(config: Any, epochs: int | None) -> Any:
    """With at most so many epochs, where it has any."""
    own = getattr(config, "epochs", None)
    return config if epochs is None or own is None or own <= epochs else dataclasses.replace(config, epochs=epochs)


def rows_of(found: Sequence[Found]) -> list[str]:
    """As Markdown, the nearest to its floor first."""
    lines = [
        "| method | epochs | GFLOP | parameters | s/fit | products s | memory s | floor s | ratio | target |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for each in sorted(found, key=lambda each: statistics.median(each.ratios)):
        products, memory = (statistics.median(values) for values in zip(*each.floors, strict=True))
        target = TARGETS.get(each.label)
        lines.append(
            f"| {each.label} | {each.epochs or '-'} | {'-' if each.gflop is None else f'{each.gflop:,.0f}'} | "
            f"{f'{each.parameters:,}' if each.parameters else '-'} | {statistics.median(each.seconds):.3f} | "
            f"{products:.3f} | {memory:.3f} | {products + memory:.3f} | {statistics.median(each.ratios):.2f} | "
            f"{'' if target is None else f'≤ {target}'} |"
        )
    return lines


def main() -> None:
    """Count, measure in turns, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--only", help="comma-separated labels")
    parser.add_argument("--epochs", type=int, default=30, help="the most that a method trains for")
    parser.add_argument("--whole", action="store_true", help="each method's own number of epochs")
    options = parser.parse_args()
    suite, registry = read_suite(HERE.parent / "suites" / "ucm-all.toml"), Registry()
    data = load_dataset(suite.dataset)
    view, (split,) = data.view(), make_splits(data, suite.split_family or "", 1)
    seed, part = trial_seed(view, split, 0), split.partition("test", 0, 0)
    found, uncounted = [], []
    for spec in [method.spec for method in suite.methods if "+" not in method.spec.name]:
        method, config, label = registry.build(spec)
        if options.only and label not in options.only.split(","):
            continue
        config = shortened(config, None if options.whole else options.epochs)
        train = training_data(method.info, view, part, seed)

        def fit(method: Any = method, config: Any = config, train: TrainingData = train) -> None:
            method(config).fit(train)

        with limited_threads(1):
            work = Work()
            if label in CLOSED:
                work = closed_work(label, train)
                fit()  # what is loaded once does not count
            else:
                with Counting(work).counting():
                    fit()
            if work.closed is None and not work.products:
                uncounted.append(label)
                continue
            found.append(measure(label, fit, work, getattr(config, "epochs", None), options.repetitions))
        print(rows_of(found[-1:])[-1], file=sys.stderr)
    machine = new_run("serial")
    with limited_threads(1):
        big = Product(1, 1024, 1024, 1024, left=False, right=False)
        gflops, bandwidth = big.flops / product_seconds(big) / 1e9, bytes_per_second(5_000_000) / 1e9
    about = {
        "processor": machine.device_name, "python": platform.python_version(),
        "torch": machine.versions["torch"], "numpy": machine.versions["numpy"],
    }  # fmt: skip
    shortest = "each method's own number of epochs" if options.whole else f"at most {options.epochs} epochs"
    lines = [
        *rows_of(found), "",
        f"`fit` on one thread, {shortest}; medians of {options.repetitions} in turns with the floor, CPU time. The "
        "floor is the method's matrix products (or a closed form's products and decompositions) and its optimiser's "
        "memory, each timed alone on this machine; activations, losses and random numbers are no part of it. "
        "`benchmarks/speed/limits.py` says how it is counted.", "",
        f"This machine, while it did so: {gflops:.0f} GFLOP/s in products of 1,024 x 1,024 (float32), "
        f"{bandwidth:.1f} GB/s adding arrays of 5,000,000 numbers.", "",
        *([f"Not counted, because they train in NumPy step by step: {', '.join(uncounted)}.", ""] if uncounted else []),
        ", ".join(f"{key} {value}" for key, value in about.items()) + ".", "",
    ]  # fmt: skip
    print("\n".join(lines))
    if not options.only:
        (HERE / "results" / "limits.md").write_text("\n".join(lines), encoding="utf-8")
        document = {"machine": about, "methods": [dataclasses.asdict(each) | {"ratios": each.ratios} for each in found]}
        (HERE / "results" / "limits.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
