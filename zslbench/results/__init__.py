"""From records to tables, comparisons and frames."""

from zslbench.results.stored import Compared, Leaderboard, Results

__all__ = ["Compared", "Leaderboard", "Results"]
