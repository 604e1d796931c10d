"""Each defect is found, by its own check and by no other; and what is clean gives no finding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from planted.defects import DEFECTS, Defect, Plot, found
from planted.described import abouts
from planted.world import planted_world


def plot_of(defects: Sequence[Defect]) -> Plot:
    plot = Plot()
    for defect in defects:
        defect.into(plot)
    return plot


def assert_found(folder: Path, plot: Plot) -> None:
    with planted_world(folder / "program", plot.prepare) as world:
        plot.finish(world)
        assert found(world.run_checks()) == plot.counted()


def test_every_defect_of_an_archive_that_has_them_all_is_found_by_its_own_check_only(tmp_path: Path) -> None:
    assert_found(tmp_path, plot_of([defect for defect in DEFECTS if not defect.apart]))


@pytest.mark.parametrize("defect", [defect for defect in DEFECTS if defect.apart], ids=lambda defect: defect.name)
def test_a_defect_that_makes_others_doubtful_is_found_alone(tmp_path: Path, defect: Defect) -> None:
    assert_found(tmp_path, plot_of([defect]))


@pytest.mark.soak
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_defect_alone_is_found_by_its_own_check_only(tmp_path: Path, defect: Defect) -> None:
    assert_found(tmp_path, plot_of([defect]))


def test_every_kind_that_a_check_can_find_is_planted() -> None:
    can_find = {(about.check, kind.word) for about in abouts() for kind in about.kinds}
    assert can_find == {(check, kind) for check, kind, _ in plot_of(DEFECTS).expected}
