"""Clean archives give no finding, whatever they hold; what is found of a defect depends on nothing else."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planted.archive import CleanArchive, clean_archive
from planted.defects import DEFECTS, Plot, found
from planted.world import planted_world
from vna_lifecycle.testing.objects import TRANSFER_SYNTAXES

_slow = settings(max_examples=6, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def clean_archives(draw: st.DrawFn) -> CleanArchive:
    """Clean archives in any encoding, with names in several scripts, with copies, in any order."""
    archive = clean_archive(
        draw(st.integers(1, 5)),
        patients=draw(st.integers(1, 4)),
        series=draw(st.integers(1, 2)),
        instances=draw(st.integers(1, 3)),
    )
    syntaxes = st.sampled_from(TRANSFER_SYNTAXES)
    images = [evolve(image, spec=evolve(image.spec, transfer_syntax=draw(syntaxes))) for image in archive.images]
    copies = draw(st.lists(st.sampled_from(images), max_size=3))
    return CleanArchive(images=tuple(draw(st.permutations([*images, *copies]))))


@_slow
@given(clean_archives())
def test_a_clean_archive_gives_no_finding(archive: CleanArchive) -> None:
    plot = Plot(old=list(archive.images))
    with TemporaryDirectory() as folder, planted_world(Path(folder, "program"), plot.prepare) as world:
        assert world.run_checks() == []


@_slow
@given(st.data())
def test_defects_are_found_in_any_company_and_any_order(data: st.DataObject) -> None:
    plot = Plot()
    together = [defect for defect in DEFECTS if not defect.apart]
    for defect in data.draw(st.lists(st.sampled_from(together), max_size=4, unique_by=lambda each: each.name)):
        defect.into(plot)
    for _ in range(data.draw(st.integers(0, 2))):
        plot.old += plot.study()  # clean, and of nobody else
    plot.old = data.draw(st.permutations(plot.old))
    with TemporaryDirectory() as folder, planted_world(Path(folder, "program"), plot.prepare) as world:
        plot.finish(world)
        assert found(world.run_checks()) == plot.counted()
