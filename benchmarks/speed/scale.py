"""Memory and seconds of a data set larger than memory should be asked to hold: load it, load it again, run a method.

``python benchmarks/speed/scale.py --images 1000000`` makes a SYNTHETIC data set of a million images with 2048 float16
features (4 GB) in a temporary folder, measures each step in a process of its own, writes results/scale.md beside this
file and removes the data.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
BLOCK = 8192
LOAD = "import sys; from zslbench.datasets import load_dataset; load_dataset(sys.argv[1]).view()"


def make(folder: Path, images: int, dim: int, classes: int, attributes: int) -> None:
    """Write the data set: features follow from semantics by a random map, with noise."""
    rng = np.random.default_rng(0)
    for kind in ("features", "semantics"):
        (folder / kind).mkdir(parents=True)
    semantics = rng.normal(size=(classes, attributes)).astype(np.float32)
    centres = (semantics @ rng.normal(size=(attributes, dim)) / np.sqrt(attributes)).astype(np.float32)
    labels = np.arange(images) % classes
    features = np.lib.format.open_memmap(folder / "features/made.npy", "w+", np.float16, (images, dim))
    for start in range(0, images, BLOCK):
        own = labels[start : start + BLOCK]
        features[start : start + len(own)] = centres[own] + 2 * rng.standard_normal((len(own), dim), np.float32)
    features.flush()
    np.save(folder / "labels.npy", labels)
    np.save(folder / "semantics/made.npy", semantics)
    names = ", ".join(f'"class{label}"' for label in range(classes))
    unseen = classes // 5
    (folder / "card.toml").write_text(
        f'name = "made"\nclasses = [{names}]\ndefault_features = "made"\ndefault_semantics = "made"\n'
        f'split_families = ["{classes - unseen}/{unseen}"]\n'
    )


def measure(command: list[str], folder: Path) -> tuple[float, float, float]:
    """Seconds, peak of the process's own memory (sampled) and peak with the pages of mapped files, in GiB."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL
    )
    own = whole = 0
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            break
        sizes = {line.split(":")[0]: int(line.split()[1]) for line in status.splitlines() if line.endswith(" kB")}
        own, whole = max(own, sizes.get("RssAnon", 0)), max(whole, sizes.get("VmHWM", 0))
        time.sleep(0.02)
    if process.wait():
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return time.perf_counter() - started, own / 2**20, whole / 2**20


def main() -> None:
    """Make the data set, measure, write the table, remove the data."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--attributes", type=int, default=128)
    parser.add_argument("--methods", default="eszsl")
    parser.add_argument("--folder", type=Path, help="where to make the data; a temporary folder by default")
    options = parser.parse_args()
    needed = options.images * options.dim * 2
    place = Path(tempfile.mkdtemp(prefix="zslbench-scale-", dir=options.folder))
    try:
        if shutil.disk_usage(place).free < 2 * needed:
            sys.exit(f"{place}: {needed / 1e9:.1f} GB are needed, and as much again is to stay free.")
        data = place / "made"
        make(data, options.images, options.dim, options.classes, options.attributes)
        steps = {
            "load: finite? hash": [sys.executable, "-c", LOAD, str(data)],
            "load again": [sys.executable, "-c", LOAD, str(data)],
            "`data check`": [sys.executable, "-m", "zslbench", "data", "check", str(data)],
        }
        for method in options.methods.split(","):
            arguments = ["run", "--methods", method, "--dataset", str(data), "--splits", "1", "--no-validation"]
            steps[f"`run`: {method}, one split"] = [sys.executable, "-m", "zslbench", *arguments, "--workers", "0"]
        rows = []
        for title, command in steps.items():
            seconds, own, whole = measure(command, place)
            rows.append(f"| {title} | {seconds:.1f} | {own:.2f} | {whole:.2f} |")
            print(rows[-1], file=sys.stderr)
    finally:
        shutil.rmtree(place)
    size = (
        f"{options.images:,} images, {options.dim} float16 features ({needed / 1e9:.1f} GB), {options.classes} classes"
    )
    made_by = f"python benchmarks/speed/scale.py --images {options.images}"
    text = f"""# Scale

SYNTHETIC data: {size}. One thread, one process, on a machine that does other things meanwhile ({platform.machine()},
{os.cpu_count()} cores); Python {platform.python_version()}, NumPy {np.__version__}.
Made by `{made_by}`.

| step | seconds | own memory, GiB | with pages of mapped files, GiB |
|---|---:|---:|---:|
{chr(10).join(rows)}

Own memory is what the process cannot give back; pages of mapped files are, whenever the system wants them.
"""
    (HERE / "results" / "scale.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
