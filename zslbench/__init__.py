"""zslbench: honest, parallel, resumable benchmarks of zero-shot learning methods.

Importing it is cheap: what a method author needs is here, and the verbs of `zslbench.api` are loaded when used.
"""

from typing import TYPE_CHECKING, Any

# Before anything else is imported.
from zslbench._searchpath import leave_current_folder

leave_current_folder()

from zslbench.configuration import Choice, Preset, Range, param  # noqa: E402
from zslbench.errors import InputError  # noqa: E402
from zslbench.graphs import neighbour_graph, normalised_graph  # noqa: E402
from zslbench.methods import Candidates, Method, MethodInfo, Rehearsal, Scorer, TrainingData, by_itself  # noqa: E402
from zslbench.unlabelled import KnownScores  # noqa: E402

if TYPE_CHECKING:
    from zslbench.api import evaluate, fit, load, load_model, merge, open_results, run, tune

__version__ = "0.2.0"

__all__ = [
    "Candidates",
    "Choice",
    "InputError",
    "KnownScores",
    "Method",
    "MethodInfo",
    "Preset",
    "Range",
    "Rehearsal",
    "Scorer",
    "TrainingData",
    "__version__",
    "by_itself",
    "evaluate",
    "fit",
    "load",
    "load_model",
    "merge",
    "neighbour_graph",
    "normalised_graph",
    "open_results",
    "param",
    "run",
    "tune",
]
_VERBS = ("evaluate", "fit", "load", "load_model", "merge", "open_results", "run", "tune")


def __getattr__(name: str) -> Any:
    if name in _VERBS:
        import zslbench.api

        return getattr(zslbench.api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
