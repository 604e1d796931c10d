"""What a comparison shows in a notebook."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from vna_lifecycle.engine.compare import ROWS_SHOWN, ArchiveComparison, Difference, ReEncoded, RefusedObject
from vna_lifecycle.model.encoding import EncodingClass
from vna_lifecycle.model.identity import SOPInstanceUID

OURS = {"p", "strong", "table", "tr", "th", "td", "bdi"}
HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(1)">&lt;"\'</td></table>'


class Shown(HTMLParser):
    """The elements of a page, their attributes, and the text of its cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[object] = []
        self.cells: list[str] = []
        self._open = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attributes
        if tag == "bdi":
            self.cells.append("")
        self._open = tag == "bdi"

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag != "bdi"

    def handle_data(self, data: str) -> None:
        if self._open:
            self.cells[-1] += data


def comparison(text: str = "text", missing: int = 0, *, completed: bool = True) -> ArchiveComparison:
    return ArchiveComparison(
        match=3,
        hashed=2,
        re_encoded=(ReEncoded(sop_instance_uid="1.2", classes=(EncodingClass.GROUP_LENGTHS,)),),
        missing=tuple(SOPInstanceUID(f"1.2.3.{number}") for number in range(missing)),
        extra=(),
        differ=(Difference(sop_instance_uid="1.2.4", pixels=False, attributes=(text,)),),
        refused=(RefusedObject(archive="a", path=text, reason=text),),
        completed=completed,
    )


def test_everything_that_is_not_a_match_is_a_row_under_the_figures() -> None:
    shown = Shown(comparison("PatientName", missing=1)._repr_html_())
    assert shown.cells[:7] == ["3", "2", "1", "1", "0", "1", "1"]
    assert shown.cells[7:] == [
        *("missing", "1.2.3.0", ""),
        *("differ", "1.2.4", "PatientName"),
        *("refused", "PatientName", "PatientName"),
    ]


def test_the_first_words_say_how_it_stands() -> None:
    same = ArchiveComparison(match=1, hashed=1, re_encoded=(), missing=(), extra=(), differ=(), refused=())
    assert same._repr_html_().startswith("<p><strong>The same</strong></p>")
    assert comparison()._repr_html_().startswith("<p><strong>Not the same</strong></p>")
    assert comparison(completed=False)._repr_html_().startswith("<p><strong>Stopped before the end</strong></p>")
    assert "subject" not in same._repr_html_()


def test_a_long_result_does_not_choke_a_notebook() -> None:
    page = comparison(missing=ROWS_SHOWN + 5)._repr_html_()
    assert page.count("<td><bdi>missing</bdi></td>") == ROWS_SHOWN
    assert page.endswith("<p>and 7 more: to_dicts() has them all</p>")
    assert "more" not in comparison(missing=ROWS_SHOWN - 2)._repr_html_()


@given(text=st.one_of(st.just(HOSTILE), st.text(), st.text("<>&\"'/=!- scriptonerrstyle\u202e\u2066")))
def test_what_archives_say_stays_text(text: str) -> None:
    shown = Shown(comparison(text)._repr_html_())
    assert shown.tags <= OURS
    assert shown.attributes == []
    assert shown.cells[-1].splitlines() == text.splitlines()
