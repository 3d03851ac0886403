"""How a search goes, a line per configuration."""

from rich.console import Console
from rich.markup import escape

from zslbench.plaintext import plain
from zslbench.runner.durations import clock
from zslbench.tuning.ledger import Configuration
from zslbench.tuning.outputs import show


class Progress:
    """Lines on a console.

    Args:
        console: where they go.
        metric: what is maximised.
        trials: how many configurations are to end.
        splits: how many splits each may see.
        quiet: whether to say nothing.
    """

    def __init__(self, console: Console, metric: str, trials: int, splits: int, quiet: bool) -> None:
        self._console, self._metric, self._trials, self._splits, self._quiet = console, metric, trials, splits, quiet

    def resumed(self, ended: int) -> None:
        """So many were done before."""
        if not self._quiet:
            done = f"{ended} of {max(self._trials, ended)} configurations are done already."
            self._console.print(done, highlight=False)

    def ended(self, known: Configuration, ended: int) -> None:
        """One ended, as that many have now."""
        if self._quiet:
            return
        head = f"[dim]{ended:>{len(str(self._trials))}}/{self._trials}[/] {escape(show(known.params))}"
        reached = f"{self._metric} {100 * known.mean:.1f}" if known.values else ""
        said = {
            "done": reached,
            "stopped": f"{reached}, dropped after {len(known.values)} of {self._splits} splits",
            "failed": f"[red]failed[/] {escape(plain(next(filter(str.strip, known.message.splitlines()), '')))}",
        }[known.end]
        self._console.print(f"{head}: {said}  ({clock(known.seconds)})", highlight=False, soft_wrap=True)
