"""Classes that nobody knew when a model was fitted, from a table of the attributes that it was fitted on."""

from pathlib import Path

import numpy as np

from zslbench.classnames import check_class_names
from zslbench.configuration import close_matches
from zslbench.csvtext import read_csv
from zslbench.datasets.controls import is_drawn
from zslbench.errors import InputError
from zslbench.models.header import Header
from zslbench.models.model import Classes
from zslbench.plaintext import plain

_SHOWN = 5


def read_classes(path: Path, header: Header) -> Classes:
    """The classes of a CSV file: a row each, first its name, then one number for every attribute of the model.

    Attributes are known by their names, and may come in any order.

    Args:
        path: of the file, with the attributes' names in its first line.
        header: of the model.

    Raises:
        InputError: the model was fitted on an embedding, whose columns have no names, an attribute is missing or
            unknown, or something is no number.
    """
    from zslbench.datasets.semantics.tables import table_block

    if header.columns is None:
        raise InputError(f"{path}: {_no_table(header)}")
    rows = read_csv(path).rows
    names = check_class_names([row[0].strip() for _, row in rows[1:]], str(path))
    if not names:
        raise InputError(
            f"{path}: expected a line with the names of attributes and then a row for each class, found no row."
        )
    block = table_block(path, names, by_order=False)
    given = list(block.card.columns or [])
    if unknown := [name for name in given if name not in header.columns]:
        raise InputError(
            f"{path}: the model knows no attribute {plain(unknown[0])!r}.{close_matches(unknown[0], header.columns)} "
            f"It was fitted on {header.semantics!r} of {header.dataset}."
        )
    if missing := [name for name in header.columns if name not in given]:
        rest = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise InputError(
            f"{path}: attributes of the model are missing: {', '.join(map(plain, missing[:_SHOWN]))}{rest}."
        )
    order = [given.index(name) for name in header.columns]
    return Classes(list(names), np.ascontiguousarray(block.array[:, order]))


def _no_table(header: Header) -> str:
    """Why no table of attributes describes further classes to a model."""
    fitted = f"the model was fitted on {header.semantics!r} of {header.dataset}"
    blocks = header.semantics.split("+")
    if drawn := [block for block in blocks if is_drawn(block)]:
        return (
            f"{fitted}, where {drawn[0]!r} is drawn anew for each split and stands in no file, so that no table "
            f"can say what it is of a further class; fit a model on semantics that are not drawn."
        )
    if len(blocks) > 1:
        return (
            f"{fitted}, {len(blocks)} arrays side by side, and a table describes classes by one; give further classes "
            f"from Python, as zslbench.models.model.Classes, or fit a model on one of them."
        )
    return (
        f"{fitted}, whose columns are no named attributes; give further classes from Python, as "
        f"zslbench.models.model.Classes."
    )
