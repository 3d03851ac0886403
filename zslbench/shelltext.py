"""Commands that are printed to be pasted into a shell."""

import shlex


def command(*words: object) -> str:
    """The words as a command line on which a shell sees exactly them.

    What cannot be printed is written as in ``$'\\\\x1b'``, which bash, zsh and ksh read.

    >>> command("zslbench", "run", "--dataset", "my set")
    "zslbench run --dataset 'my set'"
    """
    return " ".join(map(_quoted, map(str, words)))


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
