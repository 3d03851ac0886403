"""Putting what is taken into the merged store: files first, then all lines at once."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from io import FileIO
from itertools import chain
from pathlib import Path

import msgspec

from zslbench import lines
from zslbench.files import read_bytes, sync_path
from zslbench.merging.deciding import Entry, has
from zslbench.merging.reading import Line
from zslbench.records import Record, Store
from zslbench.records.origins import Merge
from zslbench.records.predictions import MOST
from zslbench.records.store import model_of, predictions_of

_AT_ONCE = 64
"""Files that are written before they are synced, side by side: the file system brings them to the disk together."""

_MOST_OF_A_MODEL = 4 << 30
"""Bytes."""


def write(into: Store, entries: Sequence[Entry], plans: Iterable[Line], merges: Iterable[Line], note: Merge) -> None:
    """Copy files that nothing in the store names yet, and then name them.

    Whoever is killed before leaves files that belong to no record. Within `into.writing()`.

    Raises:
        InputError: the store cannot be written, or another one was changed meanwhile.
    """
    foreign = sorted((entry for entry in entries if not entry.side.ours), key=lambda entry: entry.side.number)
    renamed: dict[bytes, bytes] = {}
    """Mark of a line -> the line, where a file has another name here than there."""
    for start in range(0, len(foreign), _AT_ONCE):
        with ExitStack() as opened, ThreadPoolExecutor(_AT_ONCE // 4) as pool:
            files: list[FileIO] = []
            for entry in foreign[start : start + _AT_ONCE]:
                record, contents = entry.line.record(), dict[str, bytes]()
                here = _copied_log(into, entry, record)
                if record.predictions is not None and has(entry, record.predictions):
                    here.predictions = predictions_of(record.key)
                    contents[here.predictions] = entry.side.store.predictions_file(record)
                if record.status == "done" and has(entry, model := model_of(record.key)):
                    contents[model] = read_bytes(entry.side.store.folder / model, _MOST_OF_A_MODEL)
                files += [opened.enter_context(into.write_file(name, content)) for name, content in contents.items()]
                if here != record:
                    renamed[entry.line.mark] = lines.checked(into.records_path, here)
            list(pool.map(os.fsync, [file.fileno() for file in files]))
            for folder in dict.fromkeys(Path(file.name).parent for file in files):
                sync_path(folder)
    into.rewrite(
        (renamed.get(entry.line.mark) or entry.line.content() for entry in entries),
        (line.content() for line in plans),
        chain((line.content() for line in merges), [lines.checked(into.merges_path, note)]),
    )


def _copied_log(into: Store, entry: Entry, record: Record) -> Record:
    """The record as it names its log here; where it is gone, none."""
    log = None
    if record.run.log is not None and has(entry, record.run.log):
        log = into.copy_log(record.key, read_bytes(entry.side.store.folder / record.run.log, MOST))
    return msgspec.structs.replace(record, run=msgspec.structs.replace(record.run, log=log))
