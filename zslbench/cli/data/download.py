"""``zslbench data download``: fetch a known data set and unpack it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from zslbench.cli import completion
from zslbench.cli.options import emit
from zslbench.cli.streams import say, tell
from zslbench.errors import InputError
from zslbench.files import read_text, write_whole
from zslbench.hashing import file_digest
from zslbench.jsontext import pretty
from zslbench.shelltext import command

if TYPE_CHECKING:
    from zslbench.datasets.known import Checksum, Known

_SPAN = 20
"""An archive whose size is known may unpack to so many times that."""


@click.command()
@click.argument("name", shell_complete=completion.downloads)
@click.option(
    "--to",
    "place",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("."),
    show_default="the current folder",
    help="Where the archive and the unpacked folder go.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--url", default="", help="Fetch from this address instead of the recorded one.")
@click.option("--sha256", default="", help="With --url: the SHA-256 to expect instead of the recorded checksum.")
@click.option("--keep-archive", is_flag=True, help="Keep the archive after it is unpacked.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
def download(name: str, place: Path, yes: bool, url: str, sha256: str, keep_archive: bool, as_json: bool) -> int:
    """Fetch the known data set NAME (see `zslbench list datasets`) and unpack it.

    Shows title, licence, size and address and asks first. An interrupted download goes on where it stopped when the
    same command is run again. A set without a recorded address must be fetched by hand: this says from where, and
    unpacks the archive once it is there.
    """
    from zslbench.datasets.known import load_known

    card = load_known(name)
    checksum = _expected(card, url, sha256)
    folder = place / card.archive.folder
    if folder.is_dir() and _source(folder).is_file():
        tell(f"{folder} is complete already; nothing was fetched.")
    elif folder.exists():
        raise InputError(
            f"{folder} exists and was not made by this command: remove it, choose another place by --to, or use it "
            f"as it is: {_next_step(card, folder)}"
        )
    else:
        _obtain(card, folder, checksum, url, yes, keep_archive)
    result = _result(card, folder)
    if as_json:
        emit(pretty(result))
    else:
        say(*_lines(result))
    return 0


def _obtain(card: Known, folder: Path, checksum: Checksum | None, url: str, yes: bool, keep_archive: bool) -> None:
    """Fetch where needed, verify, unpack; one call at a time."""
    from filelock import FileLock, Timeout

    from zslbench.datasets.download import fetch
    from zslbench.datasets.unpack import Limits, unpack

    archive = folder.with_name(card.archive.file)
    here = archive.is_file()
    address = url or card.archive.url
    if not here and not address:
        raise InputError(
            f"{card.name} has no address to fetch it from: {card.archive.by_hand} Put the archive at {archive} and run "
            f"this command again to unpack it, or name an address by --url."
        )
    _show(card, archive if here else address, checksum)
    if not yes:
        _ask(here)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_name(f".{card.archive.file}.lock"))
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"{archive} is being fetched by another call: wait for it.") from None
    except OSError as error:
        raise InputError(f"{folder.parent} cannot be written: {error.strerror or error}.") from error
    with lock:
        if card.archive.files and not here:
            _obtain_files(card, folder, address)
            return
        if here:
            _verify(archive, checksum)
        else:
            with _progress("Fetching", archive.name) as report:
                fetch(address, archive, checksum, allow_http=bool(url), report=report, say=_say)
        digest, size = file_digest(archive), archive.stat().st_size
        limits = Limits(total_bytes=min(Limits.total_bytes, _SPAN * (card.archive.bytes or Limits.total_bytes)))
        record = {
            "dataset": card.name,
            "address": "" if here else address,
            "archive_sha256": digest,
            "archive_bytes": size,
            "verified": checksum is not None,
            "unpacked": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        # Written before the folder appears: a folder without this file is somebody else's.
        write_whole(_source(folder), msgspec.json.format(msgspec.json.encode(record), indent=2))
        try:
            with _progress("Unpacking", archive.name) as report:
                unpack(archive, folder, limits, report)
        except InputError as error:
            _source(folder).unlink()
            raise InputError(
                f"{error} The archive is kept as {archive}: the same command unpacks it again, or fetches it anew once "
                f"it is removed."
            ) from error
        if not keep_archive and not here:
            archive.unlink()


def _obtain_files(card: Known, folder: Path, address: str) -> None:
    """Fetch what is no archive, file by file, to a folder beside; it takes its name once it is whole."""
    from zslbench.datasets.download import fetch

    staging = folder.with_name(f"{folder.name}.part")
    for number, path in enumerate(card.archive.files, 1):
        target = staging / path
        if target.is_file():  # whole, of an earlier call
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with _progress(f"Fetching {number} of {len(card.archive.files)},", path) as report:
            fetch(address + path, target, allow_http=address != card.archive.url, report=report, say=_say)
    record = {
        "dataset": card.name,
        "address": address,
        "files_sha256": {path: file_digest(staging / path) for path in card.archive.files},
        "verified": False,
        "fetched": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    write_whole(_source(folder), msgspec.json.format(msgspec.json.encode(record), indent=2))
    try:
        staging.rename(folder)
    except OSError as error:
        _source(folder).unlink()
        raise InputError(f"{folder} cannot be written: {error.strerror or error}.") from error


def _expected(card: Known, url: str, sha256: str) -> Checksum | None:
    from zslbench.datasets.download import check_address
    from zslbench.datasets.known import Checksum

    if url:
        check_address(url, allow_http=True)
        if card.archive.files and not url.endswith("/"):
            raise InputError(
                f"{card.name} consists of several files: an address that ends in / is expected, found {url}."
            )
    if not sha256:
        return card.archive.checksum
    if card.archive.files:
        raise click.UsageError(f"--sha256 is the checksum of one file, and {card.name} consists of several.")
    if not url:
        raise click.UsageError("--sha256 is the checksum of the file that --url names: give both.")
    if len(sha256) != 64 or set(sha256.lower()) - set("0123456789abcdef"):
        raise click.BadParameter(f"64 hexadecimal digits are expected: got {sha256!r}.", param_hint="--sha256")
    return Checksum("sha256", sha256.lower())


def _verify(archive: Path, checksum: Checksum | None) -> None:
    """An archive that the user has put there is left alone, whatever is wrong with it."""
    if checksum is not None and (found := file_digest(archive, checksum.algorithm)) != checksum.digest:
        raise InputError(
            f"{archive}: its {checksum.algorithm} is {found}, {checksum.digest} is expected; it is not used. Remove "
            f"it to fetch it anew, or unpack it yourself if you trust it."
        )


def _show(card: Known, origin: Path | str, checksum: Checksum | None) -> None:
    from zslbench.datasets.unpack import readable

    unchecked = card.unchecked if card.archive.checked else "none is known: what arrives is not verified"
    verified = f"{checksum.algorithm} {checksum.digest}" if checksum else unchecked
    for key, value in (
        ("title", f"{card.title}: {card.images} images of {card.classes} classes"),
        ("licence", card.licence),
        ("size", readable(card.archive.bytes) if card.archive.bytes else "not recorded"),
        ("from", origin),
        ("checksum", verified),
    ):
        tell(f"{key}: {value}")


def _ask(here: bool) -> None:
    if not sys.stdin.isatty():
        raise InputError("there is no terminal to ask on: read the lines above and give --yes.")
    if not click.confirm("Unpack it?" if here else "Fetch it?", err=True):
        raise InputError("nothing was fetched.")


def _result(card: Known, folder: Path) -> dict[str, Any]:
    source = _source(folder)
    try:
        record = msgspec.json.decode(read_text(source), type=dict[str, Any]) if source.is_file() else {}
        if record and not ({"archive_sha256", "files_sha256"} & record.keys() and "verified" in record):
            raise ValueError("it does not say what was unpacked")
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: {error}; remove it and {folder}, and fetch the set anew.") from error
    return {"name": card.name, "folder": str(folder), "source": record, "next": _next_step(card, folder)}


def _lines(result: dict[str, Any]) -> list[str]:
    source = result["source"]
    lines = [f"folder   {result['folder']}"]
    if "files_sha256" in source:
        lines.append(f"files    {len(source['files_sha256'])}; their sha256 are in {result['folder']}.source.json")
    elif source:
        verified = "verified" if source["verified"] else "not verified: no checksum is known"
        lines.append(f"archive  sha256 {source['archive_sha256']} ({verified})")
    return [*lines, f"next     {result['next']}"]


def _next_step(card: Known, folder: Path) -> str:
    root = folder / card.root if (folder / card.root).is_dir() else folder
    if card.kind == "xlsa17":
        files = [str(root / "res101.mat"), str(root / "att_splits.mat")]
        return command("zslbench", "data", "import", "xlsa17", *files, "--name", card.name)
    if card.kind == "transclip":
        return command("zslbench", "data", "import", "transclip", str(root), "--name", card.name)
    told = ["--images", str(root), "--title", card.title]
    for family in card.families:
        told += ["--split-family", str(family)]
    return command("zslbench", "data", "prepare", card.name, *told)


def _source(folder: Path) -> Path:
    """Where the unpacked folder is from; beside it, so that the folder holds what its makers put there."""
    return folder.with_name(f"{folder.name}.source.json")


def _say(line: str) -> None:
    tell(line)


@contextmanager
def _progress(verb: str, name: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a callback (done, total) that draws a bar on a terminal and says one line elsewhere."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from zslbench.console import progress_console

    console = progress_console()
    if not console.is_terminal:
        tell(f"{verb} {name}")
    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task(verb, total=None)

        def report(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total or None)

        yield report
