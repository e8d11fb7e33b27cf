"""What a contender is."""

from __future__ import annotations

import abc
import importlib
import importlib.util
from importlib import metadata
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.workloads import Array, Case

OURS, VARIANT, PEER, LIMIT = "ours", "variant", "peer", "limit"


class Calls(NamedTuple):
    """What is timed: calls without arguments, on inputs of the contender's own kind."""

    fresh: Callable[[], Any]
    """Computes a new result and returns it."""
    out: Callable[[], Any] | None = None
    """Computes into `target`; None where the contender cannot."""
    target: Any = None
    to_numpy: Callable[[Any], Array] = np.asarray
    """Makes a NumPy array of a result, for the check; not timed."""


class Contender(abc.ABC):
    """One implementation of softmax."""

    name = ""
    """What it is called on the command line and in results."""
    label = ""
    """What it is called in tables and charts, if that differs."""
    kind = PEER
    package = ""
    """The module that it needs; its distribution has the name `distribution`, or the same."""
    distribution = ""
    also: tuple[str, ...] = ()
    """Other modules that it needs."""
    threads: int | None = None
    """The threads that it uses; None: as many as it is given."""
    into_out = True
    """Whether it can compute into an existing array."""

    def available(self) -> bool:
        """Whether it is installed."""
        return all(importlib.util.find_spec(name) for name in (self.package, *self.also) if name)

    def title(self) -> str:
        """What tables call it."""
        return self.label or self.name

    def refusal(self, case: Case) -> str:
        """Why it does not compute such an array, as far as that is known; empty: it does.

        `prepare` may still refuse by any exception, whose message is then shown.
        """
        del case
        return ""

    def version(self) -> str:
        """The version of its package."""
        try:
            return metadata.version(self.distribution or self.package)
        except (metadata.PackageNotFoundError, ValueError):
            return str(getattr(importlib.import_module(self.package), "__version__", ""))

    def start(self, threads: int) -> None:  # noqa: B027  # most have nothing to do
        """Set the number of threads, where the environment does not do so."""

    @abc.abstractmethod
    def prepare(self, x: Array, dim: int) -> Calls:
        """Get ready to compute softmax of `x` along `dim`; what is done here is not timed."""
