"""What a check gives: nothing, an error with one line, or a reason why it does not apply."""

import dataclasses
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal
from unittest import SkipTest

from zslbench.methods import Method
from zslbench.runner.failures import line_of_the_author

Check = Callable[[type[Method], Any], None]


class ConformanceError(AssertionError):
    """A method broke the interface; one line says what was expected, what was found and what to do."""


ConformanceError.__module__ = "zslbench.testing"  # where authors import it from


@dataclass(frozen=True)
class Result:
    """What one check gave."""

    name: str
    status: Literal["passed", "failed", "skipped"]
    message: str
    """Why it failed or was skipped, in one line."""
    seconds: float
    where: str = ""
    """``FILE, line N`` of the method, where it raised an error."""
    same_as: str = ""
    """An earlier check that failed for the same reason."""

    @property
    def passed(self) -> bool:
        """True unless it failed: what does not apply is not held against a method."""
        return self.status != "failed"


def related(results: Iterable[Result]) -> Iterator[Result]:
    """The same results, where one that failed for the reason of an earlier one says so."""
    first: dict[tuple[str, str], str] = {}
    for result in results:
        # One error in one line of the method is one reason, whatever the check was about.
        reason = (result.where, result.message.rpartition(" raised ")[2] if result.where else result.message)
        if result.status == "failed" and first.setdefault(reason, result.name) != result.name:
            yield dataclasses.replace(result, same_as=first[reason])
        else:
            yield result


def run_check(check: Check, method: type[Method], config: Any = None) -> Result:
    """Run one of `CHECKS`. Nothing that the method raises passes through, but for Ctrl-C."""
    status: Literal["passed", "failed", "skipped"] = "passed"
    message, where, started = "", "", time.perf_counter()
    try:
        check(method, config)
    except SkipTest as reason:
        status, message = "skipped", str(reason)
    except ConformanceError as error:
        status, message, where = "failed", str(error), _where(error)
    except (Exception, SystemExit) as error:
        status, message, where = "failed", f"{type(error).__name__}: {error}", _where(error)
    return Result(name_of(check), status, " ".join(message.split()), time.perf_counter() - started, where)


def _where(error: BaseException) -> str:
    """The line of the method from which an error, or what caused it, came; empty if none did."""
    known = [error]
    while error.__cause__ is not None and error.__cause__ not in known:  # an error may be its own cause
        error = error.__cause__
        known.append(error)
    frames = traceback.walk_tb(error.__traceback__)
    return line_of_the_author([(frame.f_code.co_filename, line) for frame, line in frames])


def name_of(check: Check) -> str:
    """A check's name in words."""
    return str(getattr(check, "__name__", check)).replace("_", " ")
