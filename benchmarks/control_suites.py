"""Write the suites ucm-shuffled and ucm-random: the methods of ucm-all with semantics that say nothing.

python benchmarks/control_suites.py
"""

import json
from pathlib import Path

from zslbench.registry import Registry
from zslbench.suites import SuiteMethod, read_suite

SUITES = Path(__file__).resolve().parent / "suites"
SAME_ZSL = ("+cal", "+gate")
"""What changes no prediction among unseen classes."""
SHORTER = {
    "cada": {"epochs": 40}, "cegzsl": {"epochs": 15}, "clswgan": {"epochs": 10}, "fvaegan": {"epochs": 10},
    "hsva": {"epochs": 40}, "relation": {"episodes": 500, "halved": 250}, "tfvaegan": {"epochs": 5},
}  # fmt: skip
"""What takes a minute or more a trial is trained for a part of its time: a label that leaks is learned from at once."""
HEAD = """\
# Does anything but semantics tell a method which class is which? {what}, anew for
# each split, so T1 is chance, 20 %, for every method, and its interval should contain that (docs/semantics.md). One row
# in twenty misses it at the level of 95 %.
#
#     zslbench run --suite {name} --store my-controls
#
# The methods of ucm-all but those with +cal and +gate, whose T1 is that of others, and bounds that no semantics can
# mislead{but}.
# Those that take a minute or more a trial are trained for a quarter to a half of their time. About an hour of one core.
# Written by benchmarks/control_suites.py.
title = "A control: every method on UC Merced with {title}"
dataset = "ucm"
semantics = "{semantics}"
split_family = "16/5"
splits = 10
validation = false
"""
SHUFFLED = {
    "name": "ucm-shuffled", "what": "The attributes of UC Merced are shuffled among the classes", "but": "",
    "title": "shuffled attributes", "semantics": "attributes:shuffled",
}  # fmt: skip
RANDOM = {
    "name": "ucm-random", "what": "Each class of UC Merced has 60 random numbers", "title": "random numbers",
    "but": "; those that need named attributes have no place here", "semantics": "random:60",
}  # fmt: skip


def main() -> None:
    """Write both."""
    for name, text in suites().items():
        (SUITES / f"{name}.toml").write_text(text, encoding="utf-8")


def suites() -> dict[str, str]:
    """Name -> what its file holds."""
    registry = Registry()
    infos = {method.name: registry.get(method.name).info for method in read_suite(SUITES / "ucm-all.toml").methods}
    asked = [
        method for method in read_suite(SUITES / "ucm-all.toml").methods
        if not method.name.endswith(SAME_ZSL) and (infos[method.name].family != "bound" or method.name == "chance")
    ]  # fmt: skip
    named = [method for method in asked if not infos[method.name].needs_attributes]
    return {head["name"]: HEAD.format(**head) + "".join(map(table, methods))
            for head, methods in ((SHUFFLED, asked), (RANDOM, named))}  # fmt: skip


def table(method: SuiteMethod) -> str:
    """Of one method."""
    text = f'\n[[methods]]\nname = "{method.name}"\n'
    if params := method.params | SHORTER.get(method.name, {}):
        text += f"params = {{ {', '.join(f'{key} = {json.dumps(value)}' for key, value in params.items())} }}\n"
    return text


if __name__ == "__main__":
    main()
