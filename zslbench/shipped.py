"""Files that come with zslbench beside its code: suites, published tables, how long trials take."""

from pathlib import Path

import zslbench


def shipped(name: str) -> Path:
    """A file or folder of ``benchmarks/``: in the package if installed from a wheel, else in the checkout."""
    package = Path(zslbench.__file__).parent
    installed = package / "shipped" / name
    return installed if installed.exists() else package.parent / "benchmarks" / name
