"""What trials of one table ran on, and what differs there."""

from collections.abc import Iterable
from typing import NamedTuple

from zslbench.plaintext import plain
from zslbench.records import STACK, Run


class Machine(NamedTuple):
    """What a trial ran on, and how."""

    device: str
    device_name: str
    versions: tuple[tuple[str, str], ...]
    execution: str = ""


def machine_of(run: Run) -> Machine:
    """What that was."""
    return Machine(run.device, run.device_name, tuple(run.versions.items()), run.execution or "")


def mixtures(machines: Iterable[Machine]) -> list[str]:
    """What differs between the machines that trials of one table ran on, one sentence each."""
    machines = set(machines)
    said = []
    devices = sorted({" ".join(filter(None, (machine.device, machine.device_name))) for machine in machines} - {""})
    if len(devices) > 1:
        said.append(
            f"Trials ran on different devices ({', '.join(map(plain, devices))}): compare neither times nor memory."
        )
    if stacks := {machine.execution.partition(",")[0] for machine in machines if machine.execution.startswith(STACK)}:
        sizes = ", ".join(plain(stack) for stack in sorted(stacks, key=lambda stack: (len(stack), stack)))
        said.append(
            f"Trials were fitted side by side as one program ({sizes}): their numbers differ from those of single "
            f"trials by what training makes of rounding, and their seconds are shares."
        )
    versions: dict[str, set[str]] = {}
    for machine in machines:
        for name, version in machine.versions:
            versions.setdefault(name, set()).add(version)
    for name, found in sorted(versions.items()):
        if len(found) > 1:
            said.append(f"Trials ran with different versions of {plain(name)}: {', '.join(map(plain, sorted(found)))}.")
    return said
