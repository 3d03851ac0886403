"""Where the trials of a merged store come from: a line of ``merged.jsonl`` per merge."""

import msgspec


class Source(msgspec.Struct):
    """A store that was merged into another one, and what was taken of it."""

    store: str
    """As it was named."""
    plans: int
    keys: list[str]
    """Of the trials whose records were taken."""


class Merge(msgspec.Struct):
    """One merge; of a store that was itself merged, the lines of its own merges are taken along."""

    created: str
    """UTC, ISO 8601."""
    command: str
    sources: list[Source]
