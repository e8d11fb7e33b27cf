"""What `explain` returns."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Explanation:
    """How a call would be computed.

    Attributes
    ----------
    kernel : str
        "classes", "narrow", "rows", "along", "columns", "bunches" or "split", for gradients also
        "class_gradients" or "gradients"; "numpy" for what kernels do not do.
    slices, length : int
        How many slices there are, and their elements.
    computed_in : str
        The dtype of the arithmetic.
    threads : int
        How many threads would share the work now.
    layer : str
        Numba's threading layer, empty if none is loaded.
    tile : tuple of int or None
        Rows and columns of the tile that columns are packed into.
    copies : tuple of str
        What is copied as a whole besides the result.
    streaming : bool
        Whether results go past the caches by non-temporal stores.
    code : str
        "compiled" in this process, "cached" on disk, or "absent".
    """

    kernel: str
    slices: int
    length: int
    computed_in: str
    threads: int
    layer: str
    tile: tuple[int, int] | None
    copies: tuple[str, ...]
    streaming: bool
    code: str

    def __repr__(self) -> str:
        """A table."""
        lines = []
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple):
                value = (" x " if field.name == "tile" else ", ").join(map(str, value))
            shown = {True: "yes", False: "no"}.get(value) if isinstance(value, bool) else value
            lines.append(f"{field.name.replace('_', ' '):<12} {shown or 'none'}")
        return "\n".join(lines)
