"""Does a method keep the interface? Small SYNTHETIC trials that every method must get through.

``zslbench check`` runs them from the command line. In a package's own tests, one test per check:

    import pytest
    from zslbench.testing import CHECKS
    from my_package import MyMethod

    @pytest.mark.parametrize("check", CHECKS)
    def test_it_keeps_the_interface(check):
        check(MyMethod, MyMethod.Config())

A check raises `ConformanceError` with one line that says what was expected, what was found and what to do, or
`unittest.SkipTest` (a skipped test for pytest) with the reason why it does not apply. A method that trains long
is best checked with a configuration of few epochs. What a method declares in its `MethodInfo` is honoured: it is
handed what a real trial would hand it. Whether it learns anything is not asked.
"""

from zslbench.testing.results import Check, ConformanceError, Result, name_of, related, run_check
from zslbench.testing.suite import CHECKS, check_method

__all__ = ["CHECKS", "Check", "ConformanceError", "Result", "check_method", "name_of", "related", "run_check"]
