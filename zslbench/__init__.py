"""zslbench: honest, parallel, resumable benchmarks of zero-shot learning methods."""

from zslbench.configuration import Choice, Range, param
from zslbench.errors import InputError
from zslbench.methods import Candidates, Method, MethodInfo, Rehearsal, Scorer, TrainingData

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
