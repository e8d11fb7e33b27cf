"""The benchmarks: what they compute from timings."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

import fastsoftmax
from fastsoftmax import _shortcuts
from fastsoftmax._layout import _plans

for needed in ("matplotlib", "psutil", "rich"):
    pytest.importorskip(needed)

from benchmarks import (  # noqa: E402
    charts,
    embed,
    measure,
    race_tables,
    reference,
    results,
    tables,
    thresholds,
    verdicts,
    workloads,
)

if TYPE_CHECKING:
    from pathlib import Path

F4, F8, F2, BF = "float32", "float64", "float16", "bfloat16"
TARGETS = [
    ((3,), 0, [F4]),
    ((2, 3), 1, [F4]),
    ((128, 10), 1, [F4]),
    ((1_000_000, 2), 1, [F4]),
    ((300_000, 3), 1, [F8]),
    ((100_000, 10), 1, [F4, F8]),
    ((1_000_000, 10), 1, [F4]),
    ((100_000, 37), 1, [F4]),
    ((1000, 1000), 1, [F4, F8, F2, BF]),
    ((4096, 1024), 1, [F4]),
    ((4096, 4096), 1, [F4, F8, F2]),
    ((64, 50257), 1, [F4]),
    ((256, 50257), 1, [F4]),
    ((8, 12, 512, 512), 3, [F4]),
    ((8_000_000,), 0, [F4]),
    ((50_000_000,), 0, [F4]),
    ((32, 128, 28, 28), 1, [F4]),
    ((4, 21, 512, 512), 1, [F4]),
    ((1024, 1024), 0, [F4]),
    ((4096, 4096), 0, [F4]),
    ((1000, 4096), 0, [F8]),
    ((1_000_000, 8), 0, [F4]),
    ((2000, 2000), 1, [F4, F4]),  # x.T, x[:, ::2]
]


def entry(contender: str, mode: str, *rounds: float, **more: Any) -> results.Entry:
    turns = [{"minimum": time, "median": time, "calls": 1, "faults": 0.0} for time in rounds]
    return measure.summary(contender, mode, turns, more.get("max_ulp"))


def cell(*entries: results.Entry, name: str = "imagenet") -> results.Cell:
    return results.Cell(
        key=f"{name} float32",
        workload=name,
        source="",
        group="rows",
        shape=[1000, 1000],
        dim=1,
        dtype="float32",
        layout="dense",
        entries=list(entries),
    )


def section(*cells: results.Cell, noisy: bool = False) -> dict[str, Any]:
    names = dict.fromkeys(each["contender"] for one in cells for each in one["entries"])
    load = {"load_1": 0.0, "load_5": 0.0, "busy": 0.0}
    return {
        "date": "2026-01-01",
        "threads": 2,
        "versions": dict.fromkeys(names, "1.0"),
        "libraries": {},
        "missing": {},
        "load": {"before": load, "after": load, "others": 0.0, "stolen": 0.0, "noisy": noisy},
        "policy": "As ever.",
        "cells": list(cells),
    }


class TestTheCard:
    def test_holds_every_cell_of_the_targets(self) -> None:
        wanted = sorted((shape, dim, dtype) for shape, dim, dtypes in TARGETS for dtype in dtypes)
        assert sorted((case.shape, case.dim, case.dtype) for case in workloads.card()) == wanted

    def test_names_each_cell_once(self) -> None:
        keys = [case.key for case in workloads.card()]
        assert len(set(keys)) == len(keys)

    @pytest.mark.parametrize(
        "case", [c for c in workloads.card() if c.size <= 10**6], ids=lambda case: case.key
    )
    def test_makes_the_arrays_that_it_names(self, case: workloads.Case) -> None:
        array = case.array()
        assert (array.shape, array.dtype.name) == (case.shape, case.dtype)
        assert np.array_equal(array, case.array())

    def test_logits_are_as_far_apart_as_is_asked_for(self) -> None:
        near = workloads.own_case((100, 50), 1)
        far = workloads.spread(near, 20.0)
        assert np.array_equal(far.array(), near.array() * np.float32(20))
        assert far.key != near.key

    def test_has_the_strides_that_it_names(self) -> None:
        [transposed, every_second] = workloads.card(["transposed", "every-second"])
        assert transposed.array().strides == (4, 8000)
        assert every_second.array().strides == (16000, 8)

    def test_refuses_unknown_names(self) -> None:
        with pytest.raises(ValueError, match="no workload 'imagnet'"):
            workloads.card(["imagnet"])


class TestTheReference:
    def test_is_softmax(self) -> None:
        found = reference.softmax(np.log([[1.0, 2.0, 5.0]]))
        assert np.allclose(found.astype(float), [[0.125, 0.25, 0.625]])

    def test_counts_units_in_the_last_place(self) -> None:
        expected = np.array([0.25, 0.5, 0.75], np.longdouble)
        result = np.array([0.25, np.nextafter(np.float32(0.5), np.float32(1)), 0.75], np.float32)
        errors = reference.errors(result, expected, "float32")
        assert (errors.max_ulp, errors.wrong) == (1.0, False)
        assert errors.mean_ulp == pytest.approx(1 / 3)

    def test_knows_a_wrong_result(self) -> None:
        expected = np.array([0.25, 0.75], np.longdouble)
        for wrong in ([0.75, 0.25], [np.nan, 0.75], [0.5, 0.5]):
            assert reference.errors(np.array(wrong), expected, "float64").wrong

    @pytest.mark.parametrize("dim", [0, 1, 2])
    def test_finds_the_same_elements_in_a_result(self, dim: int) -> None:
        array = np.random.default_rng(1).standard_normal((7, 9, 11))
        sample = reference.sample(array, dim, 40)
        whole = np.exp(array) / np.exp(array).sum(axis=dim, keepdims=True)
        found = sample.of(whole, dim)
        assert found.shape == sample.expected.shape
        assert np.allclose(found, sample.expected.astype(float))


class TestFigures:
    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            (1.3e-6, "1.30 µs"),
            (9.996e-4, "1.00 ms"),
            (9.99e-4, "999 µs"),
            (0.0124, "12.4 ms"),
            (75, "75.0 s"),
        ],
    )
    def test_times_have_three_digits(self, seconds: float, text: str) -> None:
        assert tables.duration(seconds).text == text

    def test_losses_are_as_plain_as_wins(self) -> None:
        assert tables.ratio(2.5).text == "2.5x faster"
        assert tables.ratio(0.4).text == "**2.5x slower**"

    def test_the_lead_is_over_the_best_peer_of_the_cell(self) -> None:
        one = cell(
            entry("fastsoftmax", "out", 2.0, 1.0),
            entry("fastsoftmax-serial", "out", 0.5),
            entry("torch", "out", 4.0, 3.0),
            entry("numpy", "out", 9.0),
            entry("copy", "out", 0.1),
        )
        assert results.best_peer(one, "out") == ("torch", 3.0)
        assert results.lead(one, "out") == 3.0
        assert results.lead(one, "fresh") is None

    def test_standings_count_losses(self) -> None:
        first = cell(entry("fastsoftmax", "out", 1.0), entry("torch", "out", 8.0))
        second = cell(entry("fastsoftmax", "out", 2.0), entry("torch", "out", 1.0), name="digits")
        text = race_tables.standings(section(first, second)).markdown()
        assert "2.0x faster | 1 of 2 | digits float32" in text

    def test_what_was_not_timed_is_named(self) -> None:
        lost = results.Entry(contender="torch", mode="out", status="wrong", detail="off by 9 ULP")
        one = cell(entry("fastsoftmax", "out", 1.0), lost)
        assert "wrong: off by 9 ULP" in race_tables.details(one).markdown()
        assert results.best_peer(one, "out") is None


class TestVerdicts:
    def changed(self, old: list[float], new: list[float], drift: float = 1.0) -> str:
        before, after = entry("fastsoftmax", "out", *old), entry("fastsoftmax", "out", *new)
        return verdicts.verdict(before, after, drift)[1]

    def test_quiet_rounds_show_a_small_change(self) -> None:
        assert self.changed([1.0, 1.01, 1.02], [1.1, 1.11, 1.12]) == verdicts.SLOWER
        assert self.changed([1.1, 1.11, 1.12], [1.0, 1.01, 1.02]) == verdicts.FASTER

    def test_noisy_rounds_hide_it(self) -> None:
        assert self.changed([1.0, 1.3, 1.6], [1.1, 1.4, 1.7]) == verdicts.SAME
        assert self.changed([1.1, 1.4, 1.7], [1.0, 1.3, 1.6]) == verdicts.SAME

    def test_a_few_percent_are_never_called(self) -> None:
        assert self.changed([1.0, 1.0, 1.0], [1.04, 1.04, 1.04]) == verdicts.SAME

    def test_a_slower_machine_is_no_regression(self) -> None:
        old = section(cell(entry("fastsoftmax", "out", 1.0), entry("numpy", "out", 10.0)))
        new = section(cell(entry("fastsoftmax", "out", 1.5), entry("numpy", "out", 15.0)))
        assert verdicts.drift(old, new) == 1.5
        assert {each.word for each in verdicts.compare(old, new)} == {verdicts.SAME}

    def test_a_peer_of_another_version_says_nothing_of_the_machine(self) -> None:
        old = section(cell(entry("fastsoftmax", "out", 1.0), entry("numpy", "out", 10.0)))
        new = section(cell(entry("fastsoftmax", "out", 1.5), entry("numpy", "out", 15.0)))
        new["versions"]["numpy"] = "2.0"
        words = {each.contender: each.word for each in verdicts.compare(old, new)}
        assert words["fastsoftmax"] == verdicts.SLOWER

    def test_a_result_that_is_gone_is_lost(self) -> None:
        gone = results.Entry(contender="fastsoftmax", mode="out", status="wrong", detail="")
        old = section(cell(entry("fastsoftmax", "out", 1.0)))
        [found] = verdicts.compare(old, section(cell(gone)))
        assert found.word == verdicts.LOST
        [found] = verdicts.compare(section(cell(gone)), old)
        assert found.word == verdicts.NEW


class TestTheFile:
    def test_keeps_other_sections_of_the_same_machine(self, tmp_path: Path) -> None:
        file = tmp_path / "results.json"
        results.save(file, "race", {"cells": []}, {"cpu": "a"})
        results.save(file, "memory", {"rows": [math.nan]}, {"cpu": "a"})
        assert list(results.read(file)) == ["format", "machine", "race", "memory"]
        assert results.read(file)["memory"] == {"rows": [None]}
        results.save(file, "memory", {"rows": []}, {"cpu": "b"})
        assert "race" not in results.read(file)

    def test_is_refused_if_it_is_something_else(self, tmp_path: Path) -> None:
        file = tmp_path / "results.json"
        for text in ("{", "[]", '{"format": 0}'):
            file.write_text(text)
            with pytest.raises(ValueError, match=r"results\.json: not"):
                results.read(file)


class TestEmbedding:
    TEXT = "a\n<!-- speed:begin -->\nold\n<!-- speed:end -->\nb\n"

    def test_replaces_what_is_between_the_markers(self) -> None:
        new = embed.replaced(self.TEXT, {"speed": "new", "other": "x"})
        assert new == "a\n<!-- speed:begin -->\n\nnew\n\n<!-- speed:end -->\nb\n"
        assert embed.replaced(new, {"speed": "new"}) == new
        assert embed.embedded(new) == {"speed": "new"}

    @pytest.mark.parametrize("lost", ["<!-- speed:begin -->\n", "<!-- speed:end -->\n"])
    def test_refuses_a_marker_without_its_partner(self, lost: str) -> None:
        with pytest.raises(ValueError, match="speed"):
            embed.parts(self.TEXT.replace(lost, ""))


class TestCharts:
    DATA: ClassVar = {
        "machine": {"caches": {"L2": 1 << 20}},
        "race": section(
            cell(entry("fastsoftmax", "out", 1.0), entry("torch", "out", 3.0)),
            cell(entry("fastsoftmax", "out", 2.0), entry("torch", "out", 1.0), name="digits"),
        ),
    }

    def test_are_the_same_bytes_each_time_in_both_themes(self) -> None:
        first = charts.drawn(self.DATA)
        assert first == charts.drawn(self.DATA)
        assert sorted(first) == [
            f"{name}-{theme}.svg" for name in ("contenders", "speed") for theme in ("dark", "light")
        ]

    def test_name_the_results_that_they_are_made_of(self) -> None:
        for drawing in charts.drawn(self.DATA).values():
            assert results.digest(self.DATA["race"]) in drawing


class TestThresholds:
    @pytest.mark.parametrize("kernel", thresholds.CALLS_OF_KERNELS)
    @pytest.mark.parametrize("dtype", thresholds.DTYPES)
    def test_costs_are_those_of_the_kernels_they_are_told_for(
        self, kernel: str, dtype: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        function, _, dim = thresholds.CALLS_OF_KERNELS[kernel]
        inputs = thresholds.inputs_for(kernel, dtype)
        monkeypatch.setattr(_shortcuts, "ways", {})
        _plans.clear()
        getattr(fastsoftmax, function)(*inputs, dim, workers=1)
        (plan,) = _plans.values()
        assert plan.kind == kernel.split(",", maxsplit=1)[0]
