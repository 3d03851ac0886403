"""What trials of one table ran on, and what differs there."""

from collections.abc import Iterable
from typing import NamedTuple

from zslbench.plaintext import plain
from zslbench.records import Run


class Machine(NamedTuple):
    """What a trial ran on."""

    device: str
    device_name: str
    versions: tuple[tuple[str, str], ...]


def machine_of(run: Run) -> Machine:
    """What that was."""
    return Machine(run.device, run.device_name, tuple(run.versions.items()))


def mixtures(machines: Iterable[Machine]) -> list[str]:
    """What differs between the machines that trials of one table ran on, one sentence each."""
    machines = set(machines)
    said = []
    devices = sorted({" ".join(filter(None, (machine.device, machine.device_name))) for machine in machines} - {""})
    if len(devices) > 1:
        said.append(
            f"Trials ran on different devices ({', '.join(map(plain, devices))}): compare neither times nor memory."
        )
    versions: dict[str, set[str]] = {}
    for machine in machines:
        for name, version in machine.versions:
            versions.setdefault(name, set()).add(version)
    for name, found in sorted(versions.items()):
        if len(found) > 1:
            said.append(f"Trials ran with different versions of {plain(name)}: {', '.join(map(plain, sorted(found)))}.")
    return said
