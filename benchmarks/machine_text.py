"""The machine and the conditions of a run, in words."""

from __future__ import annotations

from typing import Any

from benchmarks import results
from benchmarks.tables import Datum, Table

GIB, MIB, KIB = 1 << 30, 1 << 20, 1 << 10


def size(count: int) -> str:
    """Bytes in the largest unit that leaves a whole number before the point."""
    for factor, unit in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count} bytes"


def table(machine: dict[str, Any]) -> Table:
    """What the machine is."""
    caches = ", ".join(f"{level} {size(count)}" for level, count in machine["caches"].items())
    rows = {
        "processor": machine["cpu"],
        "vectors": machine["vectors"],
        "cores, CPUs": f"{machine['cores']}, {machine['cpus']}",
        "caches, as one core sees them": caches,
        "memory": size(machine["memory"]),
        "system": f"{machine['system']}, {machine['architecture']}",
        "huge pages": machine["huge_pages"],
        "Python": machine["python"],
    }
    return Table(
        "Machine", ["", ""], [[Datum(what), Datum(text)] for what, text in rows.items() if text]
    )


def sentence(machine: dict[str, Any], section: dict[str, Any]) -> str:
    """Where and when a section was measured, on how many threads, and how quiet it was."""
    threads = section["threads"]
    where = f"{machine['cpu']}, {threads} thread{'s' if threads > 1 else ''}, {section['date']}"
    layer = section.get("threading_layer")
    return f"Measured on {where}{f', Numba on {layer}' if layer else ''}. {noise(section)}"


def is_noisy(section: dict[str, Any]) -> bool:
    """Whether other work may have changed what was measured: errors do not depend on it."""
    return bool(section["load"]["noisy"]) and section.get("timed", True)


def noise(section: dict[str, Any]) -> str:
    """What else the machine was busy with."""
    load = section["load"]
    if not section.get("timed", True):
        return "Errors do not depend on what else a machine does."
    facts = (
        f"Other processes took {load['others']:.0%} of the CPUs meanwhile, "
        f"the host {load['stolen']:.0%}; the load was {load['before']['load_1']:.1f} before and "
        f"{load['after']['load_1']:.1f} after."
    )
    if is_noisy(section):
        return f"A noisy run: {facts} Believe large ratios only, and measure again."
    return f"A quiet run: {facts}"


def versions(section: dict[str, Any]) -> str:
    """The versions of all that took part, and who did not."""
    taking = ", ".join(
        f"{results.title_of(name)} {version}" for name, version in section["versions"].items()
    )
    below = ", ".join(f"{name} {version}" for name, version in section["libraries"].items())
    text = f"Taking part: {taking}; with {below}."
    if section["missing"]:
        absent = ", ".join(
            f"{results.title_of(name)} ({why})" for name, why in section["missing"].items()
        )
        text += f" Left out: {absent}."
    return text
