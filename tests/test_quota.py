"""CPUs that control groups grant, as their files say."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fastsoftmax import _quota

if TYPE_CHECKING:
    from pathlib import Path

ALL = os.cpu_count() or 1
V2, V1 = "0::/machine/box\n", "7:cpu,cpuacct:/machine/box\n2:memory:/else\n"
GROUP = "/sys/fs/cgroup/"


@pytest.mark.parametrize(
    ("files", "granted"),
    [
        ({}, ALL),
        ({GROUP + "cpu.max": "max 100000\n"}, ALL),
        ({GROUP + "cpu.max": "250000 100000\n"}, 2),
        ({GROUP + "cpu.max": "50000 100000\n"}, 1),
        ({GROUP + "cpu.max": "no numbers\n"}, ALL),
        ({"/proc/self/cgroup": V2, GROUP + "machine/box/cpu.max": "300000 100000\n"}, 3),
        ({"/proc/self/cgroup": V2, GROUP + "machine/cpu.max": "400000 100000\n"}, 4),
        (
            {
                "/proc/self/cgroup": V2,
                GROUP + "machine/box/cpu.max": "700000 100000\n",
                GROUP + "machine/cpu.max": "600000 100000\n",
                GROUP + "cpu.max": "max 100000\n",
            },
            6,
        ),
        ({"/proc/self/cgroup": "0::/../../x\n", GROUP + "cpu.max": "200000 100000\n"}, 2),
        (
            {GROUP + "cpu/cpu.cfs_quota_us": "200000\n", GROUP + "cpu/cpu.cfs_period_us": "100000"},
            2,
        ),
        ({GROUP + "cpu/cpu.cfs_quota_us": "-1\n", GROUP + "cpu/cpu.cfs_period_us": "100000"}, ALL),
        (
            {
                "/proc/self/cgroup": V1,
                GROUP + "cpu/machine/box/cpu.cfs_quota_us": "500000\n",
                GROUP + "cpu/machine/box/cpu.cfs_period_us": "100000\n",
            },
            5,
        ),
    ],
)
def test_the_least_quota_of_all_groups(
    files: dict[str, str], granted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path) -> str:
        if path.as_posix() not in files:
            raise FileNotFoundError(path)
        return files[path.as_posix()]

    monkeypatch.setattr(_quota, "_read", read)
    assert _quota.quota.__wrapped__() == granted


def test_it_is_a_number_of_cpus() -> None:
    assert _quota.quota() >= 1
