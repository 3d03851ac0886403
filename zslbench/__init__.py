"""zslbench: honest, parallel, resumable benchmarks of zero-shot learning methods."""

# Before anything else is imported.
from zslbench._searchpath import leave_current_folder

leave_current_folder()

from zslbench.configuration import Choice, Range, param  # noqa: E402
from zslbench.errors import InputError  # noqa: E402
from zslbench.methods import Candidates, Method, MethodInfo, Rehearsal, Scorer, TrainingData  # noqa: E402

__version__ = "0.1.0"

__all__ = [
    "Candidates",
    "Choice",
    "InputError",
    "Method",
    "MethodInfo",
    "Range",
    "Rehearsal",
    "Scorer",
    "TrainingData",
    "__version__",
    "param",
]
