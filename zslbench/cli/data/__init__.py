"""``zslbench data``: making and checking data sets."""

import click

from zslbench.cli.lazy import LazyGroup

_COMMANDS = {
    "prepare": ("zslbench.cli.data.prepare", "prepare", "Make a data set from images."),
    "import": ("zslbench.cli.data.importing", "import_", "Make a data set from files of another layout."),
    "add": ("zslbench.cli.data.add", "add", "Add semantics, features or file names to a data set."),
    "download": ("zslbench.cli.data.download", "download", "Fetch a known data set."),
    "check": ("zslbench.cli.data.check", "check", "Examine a data set: does it fit, is anything suspicious?"),
}


@click.command(cls=LazyGroup, commands=_COMMANDS)
def data() -> None:
    """Make and check data sets."""
