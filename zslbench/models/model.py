"""A fitted method that is used: it names images by classes with pictures, and by classes nobody had pictures of."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from zslbench import arguments
from zslbench._types import DoubleArray, FloatArray, IntArray
from zslbench.classnames import as_listed, check_class_names, composed, listed_names, loosely
from zslbench.configuration import close_matches
from zslbench.errors import InputError
from zslbench.hashing import order_of_digests
from zslbench.methods import Candidates, Method
from zslbench.models.header import Header
from zslbench.plaintext import plain
from zslbench.spelling import argument
from zslbench.temperature import softmax
from zslbench.terms import MODEL_SUFFIX

if TYPE_CHECKING:
    import pandas as pd

_ROWS = 8192
WORDS = ("all", "unseen")
"""What `candidates` may be instead of names."""
UNKNOWN = "unknown"
"""In place of a class, where the model is not sure enough."""
Kinds = dict[str, str]


@dataclasses.dataclass(frozen=True)
class Classes:
    """Further classes: names, and semantics (C', A) of the columns that the model was fitted on."""

    names: Sequence[str]
    semantics: FloatArray


class Model:
    """A fitted method with the classes it knows.

    Args:
        header: what it says of itself.
        semantics: (C, A) of its classes.
        method: fitted.
    """

    def __init__(self, header: Header, semantics: FloatArray, method: Method) -> None:
        self.header, self.semantics, self.method = header, semantics, method

    @property
    def class_names(self) -> list[str]:
        """Classes with and without images, in the order of the data set."""
        return self.header.classes

    def save(self, path: str | Path) -> None:
        """Write it to a file, whole or not at all.

        Raises:
            InputError: the method holds something that cannot be kept, or the file cannot be written.
        """
        from zslbench.models.file import write_model

        file = Path(arguments.path("path", path, "the name of a file"))
        if file.suffix != MODEL_SUFFIX:
            raise InputError(f"path: a model file's name ends in {MODEL_SUFFIX}, found {plain(str(file))!r}.")
        write_model(file, self.header, self.semantics, self.method)

    @arguments.verb
    def predict(
        self,
        features: Any,
        *,
        maps: Any = None,
        candidates: str | Sequence[str] = "all",
        classes: Classes | None = None,
        top: int = 1,
        reject: float | None = None,
        files: Sequence[str] | None = None,
    ) -> "Predictions":
        """Name images that are features already; `predict_pictures` takes pictures.

        Args:
            features: (N, D) of the images, made as those that the model was fitted on.
            maps: (N, P, D') of the images, for a model that was fitted with feature maps.
            candidates: ``all`` classes, the ``unseen`` ones (those without images, and all of `classes`), or names:
                a list, or a text as in CSV. A class that is called ``all`` or ``unseen`` itself is meant by a list.
            classes: further classes, which nobody need have known when the model was fitted.
            top: how many classes are given for each image, the likeliest first.
            reject: from 0 to 1: where the likeliest class is less sure than answers that were right at this rate on
                held-out training images, the verdict is ``unknown``, which then can be the name of no class.
            files: what the images are called; their numbers by default.

        Raises:
            InputError: features or maps of another shape, NaN among them, unknown or doubled classes, or no estimate
                to reject by.
        """
        X = self._checked("features", features, (self.header.width,), self.header.features)
        local = self._local(maps, len(X))
        if files is not None:
            files = list(map(str, arguments.several("files", files, "a name for each image")))
            if len(files) != len(X):
                raise InputError(f"{argument('files')}: {len(files)} names are given for {len(X)} images.")
        names, chosen, top, below = self._asked(candidates, classes, top, reject)
        confidence = self.header.confidence
        scores = self.scores(X, chosen, local)
        p = softmax(scores, confidence.temperature) if confidence else np.full(scores.shape, np.nan)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
        kinds = np.where(chosen.seen >= 0, "seen", "unseen")
        if chosen.few is not None:
            kinds = np.where(chosen.few >= 0, "few", kinds)
        return Predictions(
            list(map(str, range(len(X)))) if files is None else files,
            names, kinds.tolist(), best, np.take_along_axis(scores, best, 1), np.take_along_axis(p, best, 1),
            _margins(p), below,
        )  # fmt: skip

    @arguments.verb
    def predict_pictures(
        self,
        images: str | Path,
        *,
        candidates: str | Sequence[str] = "all",
        classes: Classes | None = None,
        top: int = 1,
        reject: float | None = None,
        skip_bad: bool = False,
        weights: str | Path | None = None,
        device: str = "auto",
        workers: int = 0,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> "Predictions":
        """Name pictures: a file, or a folder or zip with pictures at any depth.

        They are encoded as the images that the model was fitted on were, with the same backbone.

        Args:
            images: where they are.
            candidates: as of `predict`.
            classes: as of `predict`.
            top: as of `predict`.
            reject: as of `predict`.
            skip_bad: leave out what cannot be read; `Predictions.skipped` says what.
            weights: file of the backbone's weights, if the data set was made with one.
            device: ``auto``, ``cpu`` or ``cuda``.
            workers: processes that encode; 0 for this one.
            progress: told the pictures done and in all.

        Raises:
            InputError: as `predict`; no picture, one that cannot be read, or a backbone that is not known here.
        """
        from zslbench.machine import Device, device_here
        from zslbench.models.pictures import encode_pictures

        how: dict[str, Any] = {"candidates": candidates, "classes": classes, "top": top, "reject": reject}
        self._asked(**how)  # before any picture is read
        encoded = encode_pictures(
            Path(arguments.path("images", images, "a picture, or a folder or zip with pictures")), self.header,
            weights=None if weights is None else Path(arguments.path("weights", weights)),
            skip_bad=arguments.flag("skip_bad", skip_bad),
            device=device_here(arguments.one_of("device", device, get_args(Device))),
            workers=arguments.whole("workers", workers), progress=progress,
        )  # fmt: skip
        found = self.predict(encoded.features, maps=encoded.maps, files=encoded.files, **how)
        return dataclasses.replace(found, skipped=encoded.skipped)

    def scores(self, features: FloatArray, candidates: Candidates, maps: FloatArray | None = None) -> DoubleArray:
        """(N, K) of the method after its last epoch; with maps (N, P, D') where it looks at such."""
        if self.method.info.transductive:  # which looks at all of them together, in the order of a trial
            candidates = dataclasses.replace(candidates, unlabelled=features[order_of_digests(features)])
        *_, last = self.method.scorers(candidates)
        inputs = [features] if maps is None else [features, maps]
        blocks = (
            [np.ascontiguousarray(array[at : at + _ROWS], np.float32) for array in inputs]
            for at in range(0, len(features), _ROWS)
        )
        scores = np.concatenate([np.asarray(last(*block), np.float64) for block in blocks])
        if scores.shape != (len(features), len(candidates)) or not np.isfinite(scores).all():
            raise InputError(
                f"method {self.header.label!r} gave {scores.shape} scores, or some that are not finite: "
                f"{(len(features), len(candidates))} finite ones are expected."
            )
        return scores

    def _local(self, given: Any, images: int) -> FloatArray | None:
        """The maps, if this model looks at any."""
        header = self.header
        if header.cells is None:
            if given is not None:
                raise InputError(f"{argument('maps')}: the model was fitted without feature maps; leave them out.")
            return None
        if given is None:
            raise InputError(
                f"the model looks at feature maps, {header.maps!r} of {header.dataset}: give those of the images by "
                f"{argument('maps')}."
            )
        maps = self._checked("maps", given, header.cells, header.maps)
        if len(maps) != images:
            raise InputError(f"{argument('maps')}: those of {len(maps)} images are given, and features of {images}.")
        return maps

    def _checked(self, name: str, array: Any, shape: tuple[int, ...], made_as: str) -> FloatArray:
        """An array over the images, of the shape (images, *shape), as the method takes it."""
        given = arguments.array(name, array, "real numbers are")
        if given.shape[1:] != shape or not len(given):
            raise InputError(
                f"{argument(name)}: (images, {', '.join(map(str, shape))}) numbers are expected, made as "
                f"{made_as!r} of {self.header.dataset}, found {given.shape}."
            )
        with np.errstate(over="ignore"):  # what becomes infinite is named below
            X = np.ascontiguousarray(given, dtype=np.float32).view()  # whose flags are not the caller's
        finite = np.isfinite(X).all(axis=tuple(range(1, X.ndim)))
        if not finite.all():
            raise InputError(f"{argument(name)}: row {int(finite.argmin())} holds NaN or infinite numbers.")
        X.flags.writeable = False
        return X

    def _asked(
        self,
        candidates: str | Sequence[str] = "all",
        classes: Classes | None = None,
        top: int = 1,
        reject: float | None = None,
    ) -> tuple[list[str], Candidates, int, float]:
        """What `predict` takes besides images, checked: names, what the method gets, how many, and the threshold."""
        top, confidence, below = arguments.whole("top", top, 1), self.header.confidence, 0.0
        if reject is not None:
            reject = arguments.share("reject", reject)
            if confidence is None:
                raise InputError(
                    f"{argument('reject')}: this model cannot tell how sure it is: {why_unsure(self.header)}."
                )
            for name, changed in (("candidates", candidates != "all"), ("classes", classes is not None)):
                if changed:
                    raise InputError(
                        f"{argument('reject')}: how sure the model must be was found with all its classes as "
                        f"candidates, and those alone; leave {argument(name)} out, or this."
                    )
            below = confidence.threshold(reject)
        if classes is not None and not isinstance(classes, Classes):
            raise arguments.wrong("classes", "zslbench.models.model.Classes", classes)
        names, chosen = self._candidates(arguments.texts("candidates", candidates, "names of classes"), classes)
        if reject is not None and (twin := next((name for name in names if loosely(name) == UNKNOWN), None)):
            raise InputError(
                f"{argument('reject')}: a class is called {plain(twin)!r}, as is the verdict on images that are "
                f"rejected; give the class another name, or leave this out."
            )
        return names, chosen, top, below

    def _candidates(self, wanted: str | Sequence[str], more: Classes | None) -> tuple[list[str], Candidates]:
        """Names and what the method gets of the chosen classes: those with images first, as in a trial, since a method
        that trains on its candidates makes something else of another order; each kind in the data set's, further ones
        last.
        """
        names, semantics = list(self.header.classes), self.semantics
        label = np.cumsum(self.header.seen) - 1
        seen: IntArray = np.where(self.header.seen, label, -1).astype(np.int64)
        few: IntArray | None = None
        if self.header.trial is not None and self.header.trial.shots:  # see `zslbench.methods.TrainingData`
            few = np.where(self.header.seen, -1, sum(self.header.seen) + np.cumsum(~np.array(self.header.seen)) - 1)
        if more is not None:
            if self.method.info.needs_shots:
                raise InputError(
                    f"{argument('classes')}: {self.header.label!r} learns each class from its images, and can name "
                    f"none without; leave it out."
                )
            more = _checked_classes(more, semantics)
            known = {loosely(name): name for name in names}
            if twice := next((name for name in more.names if loosely(name) in known), None):
                other = known[loosely(twice)]
                alike = "" if twice == other else f", and {plain(twice)!r} is the same but for its spelling"
                known_as = f"{argument('classes')}: the model knows {plain(other)!r} already{alike}"
                raise InputError(f"{known_as}; leave it out, or rename it.")
            names += more.names
            semantics = np.concatenate([semantics, more.semantics])
            further = np.full(len(more.names), -1)
            seen, few = np.concatenate([seen, further]), None if few is None else np.concatenate([few, further])
        unseen = seen < 0
        if wanted == "all":
            rows = np.argsort(unseen, kind="stable")
        elif wanted == "unseen":
            rows = np.flatnonzero(unseen)
            if not len(rows):
                raise InputError(
                    f"{argument('candidates', 'unseen')}: no class is: the model was fitted on images of every class "
                    f"that it knows; give further ones by {argument('classes')}."
                )
        else:
            listed = listed_names(wanted, argument("candidates")) if isinstance(wanted, str) else wanted
            listed = list(map(composed, listed))
            if unknown := next((name for name in listed if name not in names), None):
                raise InputError(f"{argument('candidates')}: no class {plain(unknown)!r}.{_meant(unknown, names)}")
            if not listed:
                raise InputError(f"{argument('candidates')}: expected some classes, found none.")
            if doubled := [name for name in listed if listed.count(name) > 1]:
                raise InputError(f"{argument('candidates')}: {plain(doubled[0])!r} is named twice.")
            if more is not None and not set(more.names) & set(listed):
                raise InputError(
                    f"{argument('classes')}: none of these is among {argument('candidates')}; name some of them there, "
                    f"or leave one of the two out."
                )
            rows = np.array(sorted(map(names.index, listed), key=lambda row: (unseen[row], row)))
        chosen = Candidates(np.ascontiguousarray(semantics[rows]), seen[rows], few=None if few is None else few[rows])
        return [names[row] for row in rows], chosen

    def __repr__(self) -> str:
        header = self.header
        of = f" of {header.split}" if header.split else ""
        return (
            f"<{header.label}, fitted on {header.images} images{of} of {sum(header.seen)} classes of {header.dataset}; "
            f"{header.seen.count(False)} further classes without images>"
        )


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What a model says of images; arrays are (N, top), the likeliest class first."""

    files: list[str]
    classes: list[str]
    """(K,) names of the candidates."""
    kinds: list[str]
    """(K,) ``seen`` or ``unseen``, or ``few`` for a class of which the model was fitted on k images alone."""
    columns: IntArray
    """Which candidate."""
    scores: DoubleArray
    probabilities: DoubleArray
    """Made to fit held-out images; NaN where the model was fitted without a look at such."""
    margins: DoubleArray
    """(N,) by how much the likeliest class is likelier than the next."""
    threshold: float
    """Below it the verdict is ``unknown``; 0 where nothing is rejected."""
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)
    """Pictures that could not be read -> what is wrong with them."""

    @property
    def labels(self) -> list[str]:
        """(N,) the verdict on each image: the likeliest class, or ``unknown``."""
        first = zip(self.columns[:, 0], self.probabilities[:, 0], strict=True)
        return [UNKNOWN if p < self.threshold else self.classes[column] for column, p in first]

    def first(self, top: int) -> "Predictions":
        """The same with no more than so many classes for each image."""
        top = arguments.whole("top", top, 1)
        return dataclasses.replace(
            self, columns=self.columns[:, :top], scores=self.scores[:, :top], probabilities=self.probabilities[:, :top]
        )

    def rows(self) -> list[dict[str, Any]]:
        """One for each image and each of its classes: file, rank, class, kind, probability, score, margin, verdict."""
        found = []
        for at, (file, verdict) in enumerate(zip(self.files, self.labels, strict=True)):
            for rank, column in enumerate(self.columns[at]):
                found.append(
                    {
                        "file": file, "rank": rank + 1, "class": self.classes[column], "kind": self.kinds[column],
                        "probability": float(self.probabilities[at, rank]), "score": float(self.scores[at, rank]),
                        "margin": float(self.margins[at]), "verdict": verdict,
                    }
                )  # fmt: skip
        return found

    def to_frame(self) -> "pd.DataFrame":
        """`rows` as a pandas frame; probabilities are fractions."""
        import pandas as pd

        frame = pd.DataFrame(self.rows())
        return frame.astype({"class": "category", "kind": "category", "verdict": "category"})

    def __len__(self) -> int:
        return len(self.files)

    def __repr__(self) -> str:
        return f"<predictions of {len(self)} images among {len(self.classes)} classes>"


def why_unsure(header: Header) -> str:
    """Why a model's scores are no probabilities, and what to do."""
    if header.trial is None:
        return "it was fitted without a look at validation classes"
    if header.trial.shots:
        return "it is the model of a trial, which takes no look at validation classes"
    return (
        f"it is the model of a trial, which takes no look at validation classes; `zslbench fit` with "
        f"{argument('split', header.trial.split)} fits the same model and does"
    )


def _checked_classes(more: Classes, semantics: FloatArray) -> Classes:
    """The same, with names and semantics as they are kept; InputError where they are none, or unlike the model's."""
    columns = semantics.shape[1]
    named = arguments.texts("classes", arguments.several("classes", more.names, "a list of names"), "a list of names")
    names = check_class_names(named, argument("classes"))
    given = arguments.array("classes", more.semantics, "real numbers for each name are")
    with np.errstate(over="ignore"):
        added = np.asarray(given, np.float32)
    if added.shape != (len(names), columns) or not np.isfinite(added).all():
        raise InputError(
            f"{argument('classes')}: {(len(names), columns)} finite numbers are expected, a row for each name, found "
            f"{added.shape}{'' if np.isfinite(added).all() else ' with NaN or infinite ones'}."
        )
    if (empty := ~added.any(axis=1)).any():
        raise InputError(
            f"{argument('classes')}: nothing describes {plain(names[int(empty.argmax())])!r}, whose row is all zeros."
        )
    if semantics.min() >= 0 and (below := (added < 0).any(axis=1)).any():
        raise InputError(
            f"{argument('classes')}: negative numbers describe {plain(names[int(below.argmax())])!r}, and none of the "
            f"model's classes: give what was made in the same way."
        )
    return Classes(list(names), added)


def _meant(unknown: str, names: Sequence[str]) -> str:
    """What somebody may mean who lists a name that no class has."""
    if unknown in WORDS:
        return f" {unknown!r} stands alone, for all classes of that kind."
    if (word := unknown.strip().lower()) in WORDS:
        return f" All classes of a kind are {argument('candidates', word)}."
    parts = (name for name in names if "," in name and unknown in map(str.strip, name.split(",")))
    if (whole := next(parts, None)) is not None:
        return f" A name with a comma stands in quotation marks: {argument('candidates', as_listed([whole]))}."
    return close_matches(plain(unknown, 60), names)


def _margins(p: DoubleArray) -> DoubleArray:
    if p.shape[1] == 1:
        return p[:, 0]
    highest = -np.sort(-p, axis=1)
    margins: DoubleArray = highest[:, 0] - highest[:, 1]
    return margins
