"""Events become canonical JSON and come back, and nothing else does."""

import json
import typing

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vna_lifecycle.errors import SchemaTooNew
from vna_lifecycle.ledger import codec
from vna_lifecycle.model.event import (
    EVENTS,
    LeaseTaken,
    PlanDropped,
    StudyFetched,
    StudyIncomplete,
    StudyStored,
    StudyWithdrawn,
)

_SIMPLE = {str: st.text(max_size=20), int: st.integers(-(2**63), 2**63 - 1), bool: st.booleans()}


def _values(hint: object) -> st.SearchStrategy[object]:
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is tuple and arguments[-1] is Ellipsis:
        return st.lists(_values(arguments[0]), max_size=3).map(tuple)
    if typing.get_origin(hint) is tuple:
        return st.tuples(*map(_values, arguments))
    return _SIMPLE[hint]


def _built(event_class: type) -> st.SearchStrategy[object]:
    hints = typing.get_type_hints(event_class)
    return st.builds(event_class, **{field.name: _values(hints[field.name]) for field in attrs.fields(event_class)})


any_event = st.one_of(*map(_built, EVENTS))
envelope = {"origin": "o.example", "sequence": 7, "time": "2026-01-02T03:04:05.000006Z", "actor": "engine", "key": "k"}


@given(any_event, st.text(max_size=10), st.text(max_size=10))
def test_what_is_encoded_is_decoded_again(event: object, actor: str, key: str) -> None:
    body = codec.encode(event, **{**envelope, "actor": actor, "key": key})
    read = codec.recorded(codec.parse(body), "ab")
    assert (read.event, read.actor, read.key, read.sequence, read.time) == (event, actor, key, 7, envelope["time"])
    assert codec.canonical(codec.parse(body)) == body


@given(any_event)
def test_the_bytes_are_canonical_as_the_specification_defines_it(event: object) -> None:
    body = codec.encode(event, **envelope)
    assert body == json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def test_every_event_kind_is_its_own() -> None:
    assert len({event.kind for event in EVENTS}) == len(EVENTS)


@pytest.mark.parametrize(
    "wrong", [{"instances": 1.5}, {"instances": True}, {"instances": None}, {"instances": 2**63}, {"study": 1}]
)
def test_a_value_of_another_type_is_not_recorded(draft: typing.Callable[..., object], wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        codec.encode(draft(1, **wrong).event, **envelope)


def test_pairs_are_pairs() -> None:
    event = LeaseTaken(epoch=1, verb="", software="", plugins=(("a", "b", "c"),))
    with pytest.raises(ValueError, match="3 items"):
        codec.encode(event, **envelope)
    with pytest.raises(ValueError, match="does not fit"):
        codec.encode(attrs.evolve(event, plugins=[("a", "b")]), **envelope)


def test_text_that_is_not_unicode_is_not_recorded(draft: typing.Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="surrogates"):
        codec.encode(draft(1, study="\udcff").event, **envelope)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"a":1.5}', b'{"a":NaN}', b"\xff", b'{"kind":"x"}'])
def test_other_bytes_are_not_an_envelope(body: bytes) -> None:
    with pytest.raises(ValueError):
        codec.parse(body)


def test_a_fraction_or_something_behind_the_envelope_is_not_an_envelope(draft: typing.Callable[..., object]) -> None:
    body = codec.encode(draft(1).event, **envelope)
    assert codec.parse(body)["sequence"] == 7
    for wrong in (
        body + b" ",
        body + b"{}",
        b" " + body,
        body.replace(b":7,", b":7.0,"),
        body.replace(b":7,", b":7e0,"),
    ):
        with pytest.raises(ValueError):
            codec.parse(wrong)


@pytest.mark.parametrize("change", [{"kind": "study-teleported"}, {"version": 2}])
def test_an_event_of_a_newer_version_says_so(draft: typing.Callable[..., object], change: dict[str, object]) -> None:
    stored = {**codec.parse(codec.encode(draft(1).event, **envelope)), **change}
    with pytest.raises(SchemaTooNew):
        codec.recorded(stored, "")


@pytest.mark.parametrize(
    "change", [{"version": 0}, {"data": {}}, {"data": []}, {"time": 1}, {"data": {"plan": "1", "reason": ""}}]
)
def test_an_envelope_that_does_not_fit_its_kind_is_refused(change: dict[str, object]) -> None:
    stored = {**codec.parse(codec.encode(PlanDropped(plan=1, reason=""), **envelope)), **change}
    with pytest.raises(ValueError):
        codec.recorded(stored, "")


def test_data_of_an_older_version_is_brought_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_instances(data: codec.Data) -> codec.Data:
        return {**data, "instances": 0}

    monkeypatch.setitem(codec.UPCASTERS, ("study-withdrawn", 0), with_instances)
    old = {"study": "s", "wave": "w", "token": "t"}
    assert codec.event_of("study-withdrawn", 0, old) == StudyWithdrawn(study="s", wave="w", token="t", instances=0)


@pytest.mark.parametrize(
    ("event", "added"),
    [
        (
            StudyStored(study="s", wave="w", attempt=1, stored=1, already_present=0, refused=0, warnings=0),
            "receipts_ref",
        ),
        (
            StudyIncomplete(study="s", wave="w", attempt=1, matched=1, missing=0, differ=0, extra=0, held=0, refused=1),
            "read_back_ref",
        ),
    ],
)
def test_what_a_ledger_from_before_receipts_says_can_still_be_read(event: typing.Any, added: str) -> None:
    old = {name: value for name, value in codec.event_data(event).items() if name != added}
    assert codec.event_of(event.kind, 1, old) == event


def test_an_event_class_is_found_by_its_kind_and_not_by_its_name() -> None:
    assert codec.event_of("study-fetched", 1, codec.event_data(_fetched())) == _fetched()


def _fetched() -> StudyFetched:
    return StudyFetched(study="s", wave="w", attempt=1, instances=1, size=1, held=0, failed=0, manifest_ref="")
