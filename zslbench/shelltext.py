"""Commands that are printed to be pasted into a shell."""

import shlex


def command(*words: object, **options: object) -> str:
    """The words as a command line on which a shell sees exactly them, followed by options.

    What cannot be printed is written as in ``$'\\\\x1b'``, which bash, zsh and ksh read.

    Args:
        words: the command and its arguments.
        options: by name, in their order: True is a flag, several values give the option several times, and None,
            False and no values leave it out.

    >>> command("zslbench", "describe", "my set")
    "zslbench describe 'my set'"
    """
    given = list(words)
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            given.append(option)
        elif value is not None and value is not False:
            for each in value if isinstance(value, list | tuple) else [value]:
                given += [option, each]
    return " ".join(map(_quoted, map(str, given)))


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    return f"$'{''.join(map(_written, word))}'"


def _written(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
