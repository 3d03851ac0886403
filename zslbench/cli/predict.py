"""``zslbench predict``: names of images, by a model that was kept."""

from pathlib import Path
from typing import Any

import click
from rich.progress import Progress

from zslbench.cli.options import (
    Named,
    check_excel,
    checked_output,
    chosen_form,
    emit,
    excel_option,
    given,
    plugin_option,
    result_console,
)
from zslbench.cli.streams import tell
from zslbench.console import progress_console

_FORMATS = {".csv": "csv", ".json": "json", ".parquet": "parquet", ".txt": "table"}
"""What the name of an output file says."""


@click.command()
@click.argument("model", type=Named(what="a file", path_type=Path))
@click.option(
    "--images", type=Named(what="a file or folder", path_type=Path), help="A picture, or a folder or zip with pictures."
)
@click.option(
    "--features", type=Named(what="a file", path_type=Path), help="File .npy of features (images, numbers) instead."
)
@click.option(
    "--maps", type=Named(what="a file", path_type=Path), help="File .npy of feature maps, for models that look at them."
)
@click.option(
    "--classes", type=Named(what="a file", path_type=Path), help="CSV file of further classes: a name, then attributes."
)
@click.option(
    "--candidates", default="all", show_default=True,
    help="all classes, the unseen ones, or names as in CSV: a,b,\"c, d\".",
)  # fmt: skip
@click.option("--top", type=click.IntRange(min=1), default=1, show_default=True, help="Classes for each image.")
@click.option(
    "--reject", type=click.FloatRange(0, 1),
    help="Say `unknown` where the model is less sure than answers that were right at this rate, such as 0.9.",
)  # fmt: skip
@click.option("--skip-bad", is_flag=True, help="Leave out pictures that cannot be read, instead of ending there.")
@click.option(
    "--weights", type=Named(what="a file", path_type=Path), help="File of the backbone's weights, if one was used."
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
              help="Where to encode.")  # fmt: skip
@click.option("--workers", type=click.IntRange(min=0), help="Processes that encode pictures.  [default: one per core]")
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json", "parquet"]),
    help="How to print it.  [default: what FILE ends in, else table]",
)  # fmt: skip
@click.option(
    "-o",
    "--output",
    "--out",
    metavar="FILE",
    type=Named(what="a file", dir_okay=False, path_type=Path),
    help="Write to FILE.",
)
@click.option(
    "--html", "page", metavar="FILE", type=Named(what="a file", dir_okay=False, path_type=Path),
    help="Write a page with the pictures and their three likeliest classes too.",
)  # fmt: skip
@plugin_option
@excel_option
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def predict(
    model: Path,
    images: Path | None,
    features: Path | None,
    maps: Path | None,
    classes: Path | None,
    candidates: str,
    top: int,
    reject: float | None,
    skip_bad: bool,
    weights: Path | None,
    device: Any,
    workers: int | None,
    form: str | None,
    output: Path | None,
    page: Path | None,
    plugins: tuple[Path, ...],
    excel_safe: bool,
    as_json: bool,
) -> None:
    """Name images with the model file MODEL: by classes it has seen, and by classes it knows from descriptions alone.

    Probabilities were made to fit held-out training images; where that could not be done they are empty.
    """
    import zslbench as zb
    from zslbench.datasets.container import load_npy
    from zslbench.machine import cores
    from zslbench.models.further import read_classes
    from zslbench.models.model import UNKNOWN, WORDS, why_unsure

    if (images is None) == (features is None):
        both_or_none = "neither" if images is None else "both"
        raise click.UsageError(f"give pictures by --images, or features by --features; found {both_or_none}.")
    if features is not None:
        for option, value in {"skip_bad": skip_bad, "weights": weights, "device": device, "workers": workers}.items():
            if given(option, value) is not None:
                raise click.UsageError(
                    f"--{option.replace('_', '-')} is about pictures, and features are given: leave it out."
                )
    if maps is not None and features is None:
        raise click.UsageError("--maps belong to --features; pictures are encoded to both.")
    form = chosen_form(form, output, _FORMATS, "table", as_json)
    check_excel(excel_safe, form)
    if form == "parquet" and output is None:
        raise click.UsageError("Parquet is no text: name a file by --output.")
    inputs = [path for path in (model, images, features, maps, classes) if path is not None]
    if page is not None and images is None:
        raise click.UsageError("--html shows pictures: give them by --images.")
    if page is not None and page.suffix.lower() not in (".html", ".htm"):
        raise click.UsageError(f"--html {page}: a page's name ends in .html.")
    if page is not None and page == output:
        raise click.UsageError("--html and --output name the same file.")
    for path in (output, page):
        if path is not None:
            checked_output(path, inputs=inputs)
    loaded = zb.load_model(model, plugins)
    further = None if classes is None else read_classes(classes, loaded.header)
    known = [*loaded.class_names, *(further.names if further else ())]
    if given("candidates", candidates) in WORDS and candidates in known:
        tell(
            f"zslbench: --candidates {candidates} means classes of that kind; the class of that name alone is "
            f"--candidates '\"{candidates}\"'."
        )
    how: dict[str, Any] = {
        "candidates": candidates,
        "classes": further,
        "top": top if page is None else max(top, 3),
        "reject": reject,
    }
    if features is not None:
        found = loaded.predict(load_npy(features), maps=None if maps is None else load_npy(maps), **how)
    else:
        assert images is not None
        console = progress_console()
        with Progress(console=console, transient=True, disable=not console.is_terminal) as shown:
            task = shown.add_task("Encoding pictures", total=None)
            found = loaded.predict_pictures(
                images, skip_bad=skip_bad, weights=weights, device=device,
                workers=min(cores(), 8) if workers is None else workers,
                progress=lambda done, total: shown.update(task, completed=done, total=total), **how,
            )  # fmt: skip
    sure = loaded.header.confidence
    if sure is None:
        tell(f"zslbench: probabilities are empty: {why_unsure(loaded.header)}.")
    elif reject is not None:
        where = f"{len(sure.right)} held-out images"
        why = f"found on {where}" if sure.reaches(reject) else f"the surest of {where}, which were right less often"
        tell(
            f"zslbench: unknown: {found.labels.count(UNKNOWN)} of {len(found)} images, less sure than "
            f"{100 * found.threshold:.1f} %, {why}."
        )
    for problem in list(found.skipped.values())[:5]:
        tell(f"zslbench: left out: {problem}")
    if found.skipped:
        tell(f"zslbench: {len(found.skipped)} of {len(found) + len(found.skipped)} pictures cannot be read.")
    if page is not None:
        from zslbench.files import write_whole
        from zslbench.report.gallery import gallery

        assert images is not None
        write_whole(page, gallery(found, images, loaded.header))
        tell(f"zslbench: {page}")
        found = found.first(top)
    _write(found, form, output, excel_safe)


def _write(found: Any, form: str, output: Path | None, excel_safe: bool) -> None:
    from zslbench import csvout
    from zslbench.jsontext import pretty

    rows = found.rows()
    names = list(rows[0])
    if form == "json":
        emit(pretty(rows), output)
    elif form == "csv":
        values = [["" if each[name] != each[name] else each[name] for name in names] for each in rows]  # NaN
        emit(csvout.text(names, values, excel_safe=excel_safe), output)
    elif form == "parquet":
        import io

        from zslbench.files import write_whole

        buffer = io.BytesIO()
        found.to_frame().to_parquet(buffer, index=False)
        assert output is not None
        write_whole(output, buffer.getvalue())
    else:
        _print(found, rows, output)


def _print(found: Any, rows: list[dict[str, Any]], output: Path | None) -> None:
    from zslbench.cli.options import as_text
    from zslbench.grid import Column, Grid
    from zslbench.plaintext import plain

    def shown(row: dict[str, Any]) -> list[str]:
        p = row["probability"]
        return [
            plain(row["file"]) if row["rank"] == 1 else "", plain(row["class"]), row["kind"],
            "-" if p != p else f"{100 * p:.1f}", row["verdict"] if row["rank"] == 1 and found.threshold else "",
        ]  # fmt: skip

    columns = [Column("file", hang=True), Column("class", hang=True), Column("kind"), Column("%", right=True)]
    body = [shown(row) for row in rows]
    if found.threshold:
        columns.append(Column("verdict"))
    else:
        body = [line[:-1] for line in body]
    table = Grid(columns, body)
    if output is None:
        result_console().print(table, crop=False)
    else:
        emit(as_text(table), output)
