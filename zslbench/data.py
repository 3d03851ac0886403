"""A data set with a choice of its arrays: what every verb of the library is handed."""

from __future__ import annotations

from typing import Any

import numpy as np

from zslbench import arguments
from zslbench.datasets import Dataset, DataView
from zslbench.errors import InputError
from zslbench.splits import Split, make_splits, split_families


class Data:
    """A data set with a choice of features, semantics and maps.

    Args:
        dataset: the folder's contents.
        features: by name; the card's default if None.
        semantics: by name, ``a+b`` side by side; the card's default if None. ``NAME:shuffled`` and ``random:60`` are
            controls, ``NAME:noise:0.3`` and ``NAME:part:0.5`` are worse than NAME (docs/semantics.md).
        maps: by name; none if None.

    Raises:
        InputError: the data set has no array of such a name.
    """

    def __init__(
        self, dataset: Dataset, features: str | None = None, semantics: str | None = None, maps: str | None = None
    ) -> None:
        self.dataset = dataset
        self.view: DataView = dataset.view(features, semantics, maps)
        self.maps_name = maps

    @property
    def name(self) -> str:
        """Of the data set."""
        return self.dataset.name

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the labels."""
        return self.dataset.class_names

    @property
    def labels(self) -> Any:
        """(N,) class number of every image."""
        return self.dataset.labels

    @property
    def files(self) -> tuple[str, ...] | None:
        """(N,) the picture of each row, by its path below the folder of pictures; None where the set does not say.

        Raises:
            InputError: the list is not the one that the card describes.
        """
        return self.dataset.files

    def features(self) -> Any:
        """(N, D) of the chosen features, read-only."""
        return self.view.features

    def semantics(self, split: Split | None = None) -> Any:
        """(C, A) of the chosen semantics, read-only.

        Args:
            split: for which they are, where they are drawn anew for each.

        Raises:
            InputError: they are, and none is given.
        """
        if split is not None:
            check_split(split, self.view)
            return self.view.of_split(split.drawn_as).semantics
        if self.view.blocks is not None:
            raise InputError(
                f"{self.view.semantics_name} are drawn anew for each split: give one, as in "
                f"data.semantics(data.splits()[0])."
            )
        return self.view.semantics

    def splits(self, family: str | None = None, count: int | None = None) -> list[Split]:
        """The first splits of a family.

        Args:
            family: such as ``16/5`` (seen/unseen); the data set's first if None.
            count: how many; None for all where they are few or listed, else as many as there are up to 10.

        Raises:
            InputError: an unknown family, or more splits than it has.
        """
        if family is None:
            family = first_family(self.dataset)
        arguments.text("family", family, "a split family such as 16/5")
        return make_splits(self.dataset, family, 10 if count is None else arguments.whole("count", count, 1))

    @property
    def split_families(self) -> list[str]:
        """Those that the data set names; any ``S/U`` with S + U classes can be drawn too."""
        return split_families(self.dataset)

    def __repr__(self) -> str:
        view = self.view
        return (
            f"<{self.name}: {len(self.labels)} images of {len(self.class_names)} classes, features "
            f"{view.features_name} {view.features.shape}, semantics {view.semantics_name} {view.semantics.shape}>"
        )


def first_family(dataset: Dataset) -> str:
    """The data set's own choice.

    Raises:
        InputError: it names none.
    """
    if not dataset.card.split_families:
        classes = len(dataset.class_names)
        raise InputError(f"{dataset.name} names no split family: choose one, S/U with S + U = {classes}, or a file.")
    return dataset.card.split_families[0]


def check_split(split: Any, view: DataView) -> None:
    """InputError unless it is one of the data set's."""
    if not isinstance(split, Split):
        raise arguments.wrong("split", "one of data.splits(...)", split)
    named = (split.dataset, split.class_names) == (view.dataset, view.class_names)
    if not named or not np.array_equal(split.labels, view.labels):
        raise InputError(
            f"split: one of data.splits(...) is expected, found {split.id} of another data set, {split.dataset!r}."
        )


def checked(data: Any) -> Data:
    """InputError unless it is what `zslbench.load` returns."""
    if not isinstance(data, Data):
        raise arguments.wrong("data", "what zslbench.load returns", data)
    return data
