"""``zslbench data prepare``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

_STAGES = {"images": "Encoding images", "descriptions": "Encoding descriptions"}


@click.command()
@click.argument("name")
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder or zip with one folder of images per class, such as the official archive.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder to write; must not exist yet, or be empty.  [default: ./NAME]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
def prepare(name: str, images: Path, out: Path | None, as_json: bool) -> None:
    """Make the data set NAME (ucm) from its images.

    Encodes the images with an offline backbone and the class descriptions with an offline sentence encoder,
    and writes a data set folder. If the package brings a data set of that name, the result is compared with
    it: official TIFF files and re-encoded JPEG files give slightly different features.
    """
    # Imported here, so that `zslbench --help` stays quick.
    from zslbench.datasets.prepare import prepare as make
    from zslbench.datasets.prepare.comparison import compare, worst
    from zslbench.datasets.prepare.recipes import BUNDLED

    started = time.perf_counter()
    with _progress() as report:
        made = make(name, images, out or Path(name), report)
    seconds = time.perf_counter() - started

    reference = BUNDLED / name
    verdicts = compare(made.folder, reference) if (reference / "card.toml").is_file() else None
    tables = [(kind, title, made.card[kind][title]) for kind in ("features", "semantics") for title in made.card[kind]]
    result: dict[str, Any] = {
        "folder": str(made.folder),
        "images": made.images,
        "classes": len(made.card["classes"]),
        "images_sha256": made.card["provenance"]["images_sha256"],
        "sha256": {f"{kind}/{title}.npy": table["sha256"] for kind, title, table in tables},
        "bundled": verdicts,
        "bundled_overall": worst(verdicts) if verdicts is not None else None,
        "seconds": round(seconds, 1),
    }
    click.echo(json.dumps(result, indent=2) if as_json else _as_text(result))


def _as_text(result: dict[str, Any]) -> str:
    lines = [
        f"folder   {result['folder']}",
        f"images   {result['images']} in {result['classes']} classes, sha256 {result['images_sha256']}",
        *(f"sha256   {digest}  {name}" for name, digest in result["sha256"].items()),
    ]
    if result["bundled"] is not None:
        lines.append(f"bundled  {result['bundled_overall']}")
        lines += [f"         {verdict}: {name}" for name, verdict in result["bundled"].items()]
    return "\n".join(lines)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a callback (stage, done, total) that draws a bar on a terminal and nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                title = _STAGES.get(stage, stage)
                tasks[stage] = bars.add_task(title, total=total)
                if not console.is_terminal:
                    console.print(f"{title} ({total})", highlight=False)
            bars.update(tasks[stage], completed=done)

        yield report
