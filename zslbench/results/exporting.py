"""Stored records as one flat table, for pandas, R or a spreadsheet.

Written in batches: a store of 100,000 records takes no more memory than its keys.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from zslbench import csvout
from zslbench.errors import InputError
from zslbench.files import replacing
from zslbench.jsontext import compact, readable
from zslbench.plaintext import plain
from zslbench.protocol import Curve
from zslbench.records import Record, Standings, Store
from zslbench.terms import METRICS, OPEN_METRICS, best_epoch

Column = type[str] | type[int] | type[float] | type[bool]
Row = dict[str, Any]
_BATCH = 4096
_HASHES = ("features", "labels", "semantics", "maps")
_IDENTITY: dict[str, Column] = {
    "key": str, "label": str, "method": str, "version": int, "dataset": str, "features": str, "semantics": str,
    "family": str, "split": int, "seed": int, "shots": int, "stage": str, "status": str, "counts": bool,
    "draw": int,
}  # fmt: skip


class Export:
    """Every record of a store in order of writing, or every epoch of every finished one.

    Accuracies are fractions. `counts` says whether a record is the one that counts for its trial (see
    `zslbench.records.Standings`). Columns named ``test_max.*`` are at the epoch that is best on the test set (by T1
    in ZSL, by H in GZSL), an oracle and no result. AUROC and OpenworldAUC are empty in records of earlier versions.

    Args:
        store: where the records are.
        curves: one row per epoch instead of one per record.

    Raises:
        InputError: a line that is no record.
    """

    def __init__(self, store: Store, *, curves: bool = False) -> None:
        self._store = store
        self._curves = curves
        self._counting: dict[str, int] = {}
        """Key -> number of the record that counts."""
        standings, kinds = Standings(), dict[str, set[type]]()
        for number, record in enumerate(store.records()):  # as `rows` does, so that numbers mean the same
            if standings.note(record):
                self._counting[record.key] = number
            for name, value in record.trial.config.items():
                kinds.setdefault(name, set()).add(type(value))
        self._parameters = {f"param.{name}": _column(found) for name, found in kinds.items()}
        self.columns: dict[str, Column] = _curve_columns() if curves else _record_columns(self._parameters)
        """Name -> type."""

    def rows(self) -> Iterator[Row]:
        """One after the other; a row lacks the columns of which its record says nothing."""
        for number, record in enumerate(self._store.records()):
            counts = self._counting.get(record.key) == number
            found = _epochs(record) if self._curves else [self._flat(record)]
            head = _identity(record, counts)
            for row in found:
                yield head | row

    def _flat(self, record: Record) -> Row:
        trial, run, failure = record.trial, record.run, record.failure
        row: Row = {
            "config": _json(trial.config),
            "split_hash": trial.split_hash,
            "protocol": trial.protocol,
            "source": trial.source or None,
            "method_family": record.family,
            "needs": _json(record.needs),
            "failure.type": failure and failure.type,
            "failure.message": failure and failure.message,
            "versions": _json(run.versions),
            "predictions": record.predictions,
        }
        row |= {f"hash.{kind}": trial.hashes.get(kind) for kind in _HASHES}
        row |= {name: getattr(run, name) or None if name == "execution" else getattr(run, name) for name in _RUN}
        for name, value in trial.config.items():
            column = f"param.{name}"
            row[column] = _json(value) if self._parameters[column] is str and not isinstance(value, str) else value
            if value is None:
                row[column] = None
        if record.outcome is not None:
            row |= _settled("zsl", record.outcome.zsl, "T1") | _settled("gzsl", record.outcome.gzsl, "H")
            row["test_max.calibrated_H"] = record.outcome.best_calibrated_h
            row |= {name: curve[-1] for name, curve in record.outcome.open_world.items()}
        return row


_RUN: dict[str, Column] = {
    "fit_seconds": float, "score_seconds": float, "peak_mb": float, "device": str, "device_name": str, "threads": int,
    "executor": str, "host": str, "started": str, "finished": str, "attempt": int, "log": str,
    "execution": str,
}  # fmt: skip


def _record_columns(parameters: dict[str, Column]) -> dict[str, Column]:
    columns: dict[str, Column] = _IDENTITY | {"failure.type": str, "failure.message": str}
    for prefix in ("", "test_max."):
        columns |= dict.fromkeys((f"{prefix}{name}" for name in METRICS), float)
    columns |= dict.fromkeys(OPEN_METRICS, float)
    columns |= {"test_max.calibrated_H": float, "epochs.zsl": int, "epochs.gzsl": int, "test_max.epoch.zsl": int,
                "test_max.epoch.gzsl": int}  # fmt: skip
    columns |= _RUN | {"versions": str, "config": str} | parameters
    columns |= dict.fromkeys((f"hash.{kind}" for kind in _HASHES), str)
    return columns | {"split_hash": str, "protocol": int, "source": str, "method_family": str, "needs": str,
                      "predictions": str}  # fmt: skip


def _curve_columns() -> dict[str, Column]:
    return _IDENTITY | {"epoch": int} | dict.fromkeys((*METRICS, *OPEN_METRICS), float)


def _identity(record: Record, counts: bool) -> Row:
    trial = record.trial
    return {
        "key": record.key, "label": record.label, "method": trial.method, "version": trial.method_version,
        "dataset": trial.dataset, "features": trial.features, "semantics": trial.semantics, "family": trial.family,
        "split": trial.split, "seed": trial.seed, "shots": trial.shots, "stage": trial.stage,
        "status": record.status, "counts": counts, "draw": record.draw,
    }  # fmt: skip


def _settled(setting: str, curve: Curve, lead: str) -> Row:
    """Every metric after the last epoch and at the best one; epochs count from 1."""
    leading = curve[lead]
    best = best_epoch(leading)
    row: Row = {f"epochs.{setting}": len(leading), f"test_max.epoch.{setting}": best + 1}
    for name, series in curve.items():
        row |= {name: series[-1], f"test_max.{name}": series[best]}
    return row


def _epochs(record: Record) -> Iterator[Row]:
    """One row per epoch, from 1; ZSL and GZSL may have different numbers of them."""
    if record.outcome is None:
        return
    curves = record.outcome.zsl | record.outcome.gzsl
    last = len(record.outcome.gzsl["H"]) - 1
    further = record.outcome.open_world  # of every epoch, or of the last alone
    for epoch in range(max(map(len, curves.values()))):
        row: Row = {"epoch": epoch + 1}
        row |= {name: series[epoch] for name, series in curves.items() if epoch < len(series)}
        if epoch == last:
            row |= {name: series[-1] for name, series in further.items()}
        elif epoch < last:
            row |= {name: series[epoch] for name, series in further.items() if len(series) > last}
        yield row


def _column(kinds: set[type]) -> Column:
    """The type that holds a parameter's values, which several methods may declare differently."""
    match kinds - {type(None)}:
        case one if len(one) == 1 and one <= {str, int, float, bool}:
            return next(iter(one))
        case numbers if numbers and numbers <= {int, float}:
            return float
    return str


def _json(value: Any) -> str:
    return compact(value).decode()


def write_csv(export: Export, file: csvout.Target, excel_safe: bool = False) -> None:
    """Comma-separated, with a header; true and false for truth values, an empty field for what is missing."""
    rows = ([row.get(name) for name in export.columns] for row in export.rows())
    csvout.write(file, list(export.columns), rows, excel_safe=excel_safe)


def write_json(export: Export, file: csvout.Target) -> None:
    """One JSON array of objects, a line each."""
    before = "[\n"
    for row in export.rows():
        file.write(before + readable(_json({name: row.get(name) for name in export.columns})))
        before = ",\n"
    file.write("\n]\n" if before != "[\n" else "[]\n")


def write_parquet(export: Export, path: Path) -> None:
    """A Parquet file.

    Raises:
        InputError: pyarrow cannot be imported.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InputError(
            f"Parquet needs pyarrow, which is installed with zslbench and cannot be imported here ({plain(error)}): "
            f"install zslbench again."
        ) from None
    types = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    schema = pa.schema([(name, types[kind]) for name, kind in export.columns.items()])
    rows = export.rows()
    with pq.ParquetWriter(path, schema) as writer:
        while batch := list(islice(rows, _BATCH)):
            columns = {name: [row.get(name) for row in batch] for name in export.columns}
            writer.write_table(pa.table(columns, schema=schema))


def write(export: Export, form: str, path: Path, excel_safe: bool = False) -> None:
    """Write to a file, which appears only when it is whole.

    Args:
        export: what to write.
        form: ``csv``, ``json`` or ``parquet``.
        path: where to.
        excel_safe: of CSV, whether a spreadsheet must find no formula.

    Raises:
        InputError: the file cannot be written.
    """
    with replacing(path) as partial:
        if form == "parquet":
            write_parquet(export, partial)
            return
        with open(partial, "w", encoding="utf-8", newline="", errors="backslashreplace") as file:
            if form == "csv":
                write_csv(export, file, excel_safe)
            else:
                write_json(export, file)
