"""The one exception a user is meant to read."""


class InputError(Exception):
    """Bad input: what was expected, what was found, where, and what to do, in one line.

    The command line prints the message without a traceback and ends with exit code 2.
    """
