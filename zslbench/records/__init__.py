"""What trials leave, and the store that keeps it."""

from zslbench.records.latest import Latest
from zslbench.records.standings import Standings
from zslbench.records.store import Store
from zslbench.records.trials import (
    SCHEMA,
    STACK,
    Brief,
    Budget,
    Cell,
    Draw,
    Failure,
    Plan,
    PlanRow,
    Record,
    Run,
    Status,
    Trial,
    key_of,
)

__all__ = [
    "SCHEMA",
    "STACK",
    "Brief",
    "Budget",
    "Cell",
    "Draw",
    "Failure",
    "Latest",
    "Plan",
    "PlanRow",
    "Record",
    "Run",
    "Standings",
    "Status",
    "Store",
    "Trial",
    "key_of",
]
