"""What is stored, as pandas frames.

Accuracies are fractions except in a leaderboard's frame, whose columns say ``%``. Names that repeat are categories;
whole numbers, numbers and truth values are nullable types, so that a hole stays a hole.
"""

from collections.abc import Iterable, Sequence
from typing import Any, get_type_hints

import pandas as pd

from zslbench.metrics import GzslDecisions
from zslbench.records import Record, Store
from zslbench.results.budgets import BudgetTable
from zslbench.results.comparison import Comparison
from zslbench.results.exporting import Column, Export
from zslbench.results.leaderboard import Table
from zslbench.results.overall import Overall
from zslbench.results.pictures import Pictures
from zslbench.results.stats import Paired
from zslbench.results.variance import VarianceTable
from zslbench.terms import METRICS, OPEN_METRICS

_NULLABLE: dict[Column, str] = {str: "string", int: "Int64", float: "Float64", bool: "boolean"}
_CATEGORIES = (
    "label", "method", "dataset", "features", "semantics", "family", "track", "stage", "status", "device",
    "device_name", "executor", "host", "execution", "method_family", "config", "versions", "split_hash", "source",
    "needs", "failure.type", "selection", "setting", "metric",
)  # fmt: skip
_FRACTIONS = "fractions between 0 and 1"


def records_frame(store: Store, keys: Iterable[str] | None = None) -> pd.DataFrame:
    """A row per stored record, in order of writing; see `zslbench.results.exporting.Export` for the columns.

    Args:
        store: where they are.
        keys: of the trials that are wanted; all by default.
    """
    return _exported(Export(store), keys)


def curves_frame(store: Store, keys: Iterable[str] | None = None) -> pd.DataFrame:
    """A row per epoch of every finished record: what the metrics were after it."""
    return _exported(Export(store, curves=True), keys)


def _exported(export: Export, keys: Iterable[str] | None) -> pd.DataFrame:
    wanted = None if keys is None else set(keys)
    rows = [row for row in export.rows() if wanted is None or row["key"] in wanted]
    frame = _typed(rows, export.columns)
    frame.attrs["accuracies"] = _FRACTIONS
    return frame


def predictions_frame(store: Store, records: Iterable[Record], pictures: Pictures | None = None) -> pd.DataFrame:
    """A row per image that was classified, in both settings, of these finished records.

    ``truth`` and ``predicted`` are class numbers of the data set. In GZSL there are also ``best_seen`` and
    ``best_unseen``, the best class on either side, and ``margin``: by how much the best seen class scores above the
    best unseen one. ``image`` is the row of the data set, from 0, and ``file`` its picture, as far as they are known.

    Args:
        store: where they are.
        records: whose predictions are wanted.
        pictures: the data sets at hand.
    """
    pictures = pictures or Pictures()
    parts = []
    for record in records:
        if record.status != "done":
            continue
        kept = store.predictions(record)
        zsl = pd.DataFrame({"truth": kept["zsl_truth"], "predicted": kept["zsl_predicted"]})
        decided = {name: kept[f"gzsl_{name}"] for name in ("best_seen", "best_unseen", "margin")}
        predicted = GzslDecisions(**decided).predicted()
        gzsl = pd.DataFrame({"truth": kept["gzsl_truth"], "predicted": predicted, **decided})
        found = pictures.of(record)
        for setting, part in (("ZSL", zsl), ("GZSL", gzsl)):
            if found is not None:
                part["image"] = found.rows[setting]
                part["file"] = found.names(setting)
            head: dict[str, Any] = {
                "key": record.key,
                "label": record.label,
                "split": record.trial.split,
                "seed": record.trial.seed,
                "shots": record.trial.shots,
            }
            parts.append(part.assign(**head, stage=record.trial.stage, setting=setting))
    columns: dict[str, Column] = {
        "key": str, "label": str, "split": int, "seed": int, "shots": int, "stage": str, "setting": str, "image": int,
        "file": str, "truth": int, "predicted": int, "best_seen": int, "best_unseen": int, "margin": float,
    }  # fmt: skip
    if not parts:
        return _typed([], columns)
    return _cast(pd.concat(parts, ignore_index=True), columns)


def leaderboard_frame(tables: Sequence[Table]) -> pd.DataFrame:
    """A row per method and configuration, as the tables rank them: means and the ends of 95 % intervals in percent.

    AUROC and OpenworldAUC have columns where some row has them.
    """
    columns: dict[str, Column] = {
        "dataset": str, "features": str, "semantics": str, "family": str, "shots": int, "track": str, "rank": int,
        "label": str,
        "method": str, "version": int, "method_family": str, "selection": str,
    }  # fmt: skip
    further = [name for name in OPEN_METRICS if any(name in row.metrics for table in tables for row in table.rows)]
    for name in (*METRICS, *further):
        columns |= dict.fromkeys((f"{name} %", f"{name} low %", f"{name} high %"), float)
    columns |= {
        "done": int, "planned": int, "failed": int, "fit_seconds": float, "peak_mb": float, "device": str,
        "needs": str, "why": str,
    }  # fmt: skip
    rows: list[dict[str, Any]] = []
    for table in tables:
        for row in table.rows:
            found: dict[str, Any] = {
                "dataset": table.dataset, "features": table.features, "semantics": table.semantics,
                "family": table.family, "shots": table.shots, "track": table.track, "rank": row.rank,
                "label": row.label, "method": row.method, "version": row.version, "method_family": row.family,
                "selection": row.selection, "done": row.done, "planned": row.planned, "failed": row.failed,
                "fit_seconds": row.fit_seconds,
                "peak_mb": row.peak_mb, "device": row.device, "needs": ", ".join(row.needs), "why": row.why,
            }  # fmt: skip
            for name, estimate in row.metrics.items():
                found |= {f"{name} %": 100 * estimate.mean, f"{name} low %": _percent(estimate.low),
                          f"{name} high %": _percent(estimate.high)}  # fmt: skip
            rows.append(found)
    frame = _typed(rows, columns)
    frame.attrs["accuracies"] = "percent, as the columns say"
    return frame


def budgets_frame(tables: Sequence[BudgetTable]) -> pd.DataFrame:
    """A row per method, budget and split: the expected value of the best of so many configurations, a fraction."""
    rows = [
        {
            "dataset": table.table.dataset, "features": table.table.features, "semantics": table.table.semantics,
            "family": table.table.family, "track": table.table.track, "label": curve.label, "method": curve.method,
            "selection": table.selection, "metric": table.metric, "budget": budget, "split": split, "value": value,
            "order": curve.order,
        }
        for table in tables for curve in table.curves
        for budget, values in curve.per_split.items() for split, value in values.items()
    ]  # fmt: skip
    columns: dict[str, Column] = dict.fromkeys(
        ("dataset", "features", "semantics", "family", "track", "label", "method", "selection", "metric"), str
    )
    frame = _typed(rows, columns | {"budget": int, "split": int, "value": float, "order": str})
    frame.attrs["accuracies"] = _FRACTIONS
    return frame


def variance_frame(tables: Sequence[VarianceTable]) -> pd.DataFrame:
    """A row per source of the variance: its standard deviation and its share with the ends of the 95 % interval, all
    fractions."""
    rows = [
        {
            "dataset": table.dataset, "family": table.family, "track": table.track, "shots": table.shots,
            "selection": table.selection, "metric": table.metric, "seeds": table.seeds, "source": source.name,
            "deviation": source.deviation, "share": source.share, "share low": _known(source.low),
            "share high": _known(source.high),
        }
        for table in tables for source in table.sources
    ]  # fmt: skip
    columns: dict[str, Column] = dict.fromkeys(("dataset", "family", "track", "selection", "metric", "source"), str)
    columns |= dict.fromkeys(("shots", "seeds"), int)
    columns |= dict.fromkeys(("deviation", "share", "share low", "share high"), float)
    frame = _typed(rows, columns)
    frame.attrs["accuracies"] = _FRACTIONS
    return frame


def overall_frame(tables: Sequence[Overall]) -> pd.DataFrame:
    """A row per track and method: mean rank, normalised score and win rate, with the ends of 95 % intervals."""
    rows = [
        {
            "track": found.track, "place": place, "label": row.label, "method": row.method, "version": row.version,
            "rank": row.rank.mean, "rank low": _known(row.rank.low), "rank high": _known(row.rank.high),
            "score %": row.score and 100 * row.score.mean, "score low %": row.score and _percent(row.score.low),
            "score high %": row.score and _percent(row.score.high), "wins %": 100 * row.win_rate,
            "datasets": found.datasets, "blocks": len(found.blocks), "selection": found.selection,
            "metric": found.metric,
        }
        for found in tables
        for place, row in enumerate(found.rows, 1)
    ]  # fmt: skip
    columns: dict[str, Column] = {"track": str, "place": int, "label": str, "method": str, "version": int}
    columns |= dict.fromkeys(
        ("rank", "rank low", "rank high", "score %", "score low %", "score high %", "wins %"), float
    )
    frame = _typed(rows, columns | {"datasets": int, "blocks": int, "selection": str, "metric": str})
    frame.attrs["left_out"] = {found.track: dict(found.left_out) for found in tables}
    return frame


def blocks_frame(tables: Sequence[Overall]) -> pd.DataFrame:
    """A row per track, method and block: its mean there as a fraction, its rank and its normalised score."""
    rows = [
        {
            "track": found.track, "label": row.label, "dataset": block.dataset, "family": block.family,
            "features": block.features, "semantics": block.semantics, "data": block.data, "metric": found.metric,
            "value": row.values[at], "rank": row.ranks[at], "score": row.scores and row.scores[at],
            "chance": block.chance, "ideal": block.ideal,
        }
        for found in tables
        for row in found.rows
        for at, block in enumerate(found.blocks)
    ]  # fmt: skip
    words = ("track", "label", "dataset", "family", "features", "semantics", "data", "metric")
    numbers = ("value", "rank", "score", "chance", "ideal")
    frame = _typed(rows, dict.fromkeys(words, str) | dict.fromkeys(numbers, float))
    frame.attrs["accuracies"] = _FRACTIONS
    return frame


def _known(value: float) -> float | None:
    return None if value != value else value  # NaN is not NaN


def comparison_frame(comparison: Comparison) -> pd.DataFrame:
    """A row per split and method: the values that are compared, as fractions."""
    rows = [
        {"label": label, "split": split, "metric": comparison.metric, "value": value}
        for label, values in comparison.values.items()
        for split, value in values.items()
    ]
    frame = _typed(rows, {"label": str, "split": int, "metric": str, "value": float})
    said = {"conclusions": list(comparison.conclusions), "other_classes": list(comparison.others)}
    frame.attrs |= {"accuracies": _FRACTIONS, **said}
    return frame


def pairs_frame(comparison: Comparison) -> pd.DataFrame:
    """A row per pair of methods: the fields of `zslbench.results.stats.Paired`, differences as fractions."""
    kinds = get_type_hints(Paired)
    rows = [{name: None if value != value else value for name, value in pair._asdict().items()}  # NaN is not NaN
            for pair in comparison.pairs]  # fmt: skip
    frame = _typed(rows, {name: kinds[name] for name in Paired._fields})
    frame.attrs |= {"accuracies": _FRACTIONS, "metric": comparison.metric, "rho": comparison.rho}
    return frame


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _typed(rows: Sequence[dict[str, Any]], columns: dict[str, Column]) -> pd.DataFrame:
    return _cast(pd.DataFrame(list(rows), columns=list(columns), dtype=object), columns)


def _cast(frame: pd.DataFrame, columns: dict[str, Column]) -> pd.DataFrame:
    types = {name: "category" if name in _CATEGORIES else _NULLABLE[kind] for name, kind in columns.items()}
    return frame.reindex(columns=list(columns)).astype(types)
