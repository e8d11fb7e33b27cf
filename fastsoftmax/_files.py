"""Arrays in files, .npy and .csv: read with clear errors, replaced only whole."""

from __future__ import annotations

import csv
import os
import stat
from array import array as numbers_array
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoftmax._replacing import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator

Array = np.ndarray[Any, Any]

SUFFIXES = (".npy", ".csv")


class FileError(Exception):
    """What is wrong with a file, in a sentence that names it."""


def check_suffix(path: Path) -> None:
    """Refuse a file whose name does not tell its format."""
    if path.suffix.lower() not in SUFFIXES:
        raise FileError(
            f"{path} has the suffix {path.suffix!r}; it must be one of {', '.join(SUFFIXES)}"
        )


def is_csv(path: Path) -> bool:
    """Whether the file is one of text; all others are .npy."""
    return path.suffix.lower() == ".csv"


def read(path: Path) -> Array:
    """The array in a file: .npy memory-mapped, .csv as float64.

    A .csv file of one column is a one-dimensional array, any other a two-dimensional one.
    """
    check_suffix(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise FileError(f"cannot read {path}: it is a folder; give a file")
        if not stat.S_ISREG(mode):
            raise FileError(f"cannot read {path}: it is not a regular file")
        return _read_csv(path) if is_csv(path) else _read_npy(path)
    except OSError as problem:
        raise FileError(f"cannot read {path}: {problem.strerror or problem}") from problem


def _read_npy(path: Path) -> Array:
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    except Exception as problem:  # the header is parsed as Python: a broken one raises anything
        raise FileError(f"{path} is not a .npy file of numbers: {problem}") from problem


def _read_csv(path: Path) -> Array:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            values, columns = _parse(path, csv.reader(file, strict=True))
    except UnicodeDecodeError as problem:
        raise FileError(f"{path} is not a .csv file: it is no UTF-8 text") from problem
    except csv.Error as problem:
        raise FileError(f"{path} is not a .csv file: {problem}") from problem
    if not columns:
        raise FileError(f"{path} holds no numbers")
    flat = np.frombuffer(values)
    return flat if columns == 1 else flat.reshape(-1, columns)


def _parse(path: Path, lines: Any) -> tuple[numbers_array[float], int]:
    """The numbers of all lines one after another, and how many each line has."""
    values = numbers_array("d")
    columns = 0
    for numbers in _rows(path, lines):
        columns = columns or len(numbers)
        if len(numbers) != columns:
            raise FileError(
                f"{path}, line {lines.line_num}: {len(numbers)} numbers, where the lines "
                f"above have {columns}"
            )
        values.extend(numbers)
    return values, columns


def _rows(path: Path, lines: Any) -> Iterator[list[float]]:
    """The numbers of each line but blank ones and the header: names, and not one number."""
    at_top = True
    for fields in lines:
        if len(fields) < 2 and not any(map(str.strip, fields)):
            continue
        numbers = [_number(field) for field in fields]
        words = [place for place, number in enumerate(numbers) if number is None]
        if words and not (at_top and len(words) == len(fields) and any(fields)):
            raise FileError(
                f"{path}, line {lines.line_num}, column {words[0] + 1}: "
                f"{fields[words[0]]!r} is not a number"
            )
        at_top = False
        if not words:
            yield [number for number in numbers if number is not None]


def _number(field: str) -> float | None:
    try:
        return float(field)
    except ValueError:
        return None


def check_output(path: Path) -> None:
    """Refuse, before anything is computed, an output that could not be written."""
    check_suffix(path)
    target = _target(path)
    try:
        if not target.parent.is_dir():
            raise FileError(f"cannot write {path}: there is no folder {target.parent}")
        writable = os.access(target.parent, os.W_OK | os.X_OK)
        if os.path.lexists(target):
            mode = target.stat().st_mode
            if stat.S_ISDIR(mode):
                raise FileError(f"cannot write {path}: it is a folder; give a file")
            if not stat.S_ISREG(mode):
                raise FileError(f"cannot write {path}: it is not a regular file")
            writable = writable and os.access(target, os.W_OK)
    except OSError as problem:
        raise FileError(f"cannot write {path}: {problem.strerror or problem}") from problem
    if not writable:
        raise FileError(f"cannot write {path}: no permission")


def write(path: Path, array: Array) -> None:
    """Write an array to a file, which is replaced whole or left as it is."""
    try:
        with replacing(_target(path)) as file:
            if is_csv(path):
                np.savetxt(file, array, fmt="%s", delimiter=",")
            else:
                np.lib.format.write_array(file, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
    except OSError as problem:
        raise FileError(f"cannot write {path}: {problem.strerror or problem}") from problem


def _target(path: Path) -> Path:
    """The file that is replaced: what a symbolic link points to, not the link."""
    return Path(os.path.realpath(path))
