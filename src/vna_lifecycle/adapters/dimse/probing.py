"""What an archive was seen to do: what it agrees to, how it answers queries, and how it serves an object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from vna_lifecycle.adapters.dimse import answers as at
from vna_lifecycle.adapters.dimse.calling import MODELS, Caller
from vna_lifecycle.adapters.dimse.canaries import observe_canaries
from vna_lifecycle.adapters.dimse.classes import storage_classes
from vna_lifecycle.adapters.dimse.forbearance import Forbearance
from vna_lifecycle.adapters.dimse.listing import Lister
from vna_lifecycle.adapters.dimse.measuring import Bearing, Stopwatch, most, pieces, retrievals, served, side_by_side
from vna_lifecycle.adapters.dimse.reading import Reader
from vna_lifecycle.adapters.dimse.reception import SYNTAXES
from vna_lifecycle.adapters.dimse.storing import Store
from vna_lifecycle.adapters.dimse.wire import (
    COMMITMENT_PUSH,
    UNCOMPRESSED,
    VERIFICATION,
    Context,
    Elements,
    Keys,
    echo,
)
from vna_lifecycle.adapters.dimse.wire.peer import MAX_CONTEXTS
from vna_lifecycle.adapters.habits import known_cap, remember_associations, remember_cap
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.model.identity import StudyRef, StudyUID
from vna_lifecycle.ports import Observation

_CT: Final = "1.2.840.10008.5.1.4.1.1.2"
_RELATIONAL: Final = b"\1"
_MOST: Final = 2_000
"""Studies after which a query is ended: it was long enough to see a cap."""

_SAMPLED: Final = 5
_LOOKED_AT: Final = 20
"""Studies that are looked at for objects to retrieve side by side."""

_TOLD: Final = 12
_NONE: Final = "not known: the archive shows no study"
_NOBODY: Final = "VNALIFECYCLE-NOBODY"
_EVERY_DAY: Final = "19000101-"


class Probing:
    """The asking side of an archive. Nothing is changed there, unless the settings allow canaries."""

    def __init__(self, caller: Caller, reader: Reader, store: Store | None) -> None:
        self._store = store
        self._caller = caller
        self._reader = reader
        self._lister = Lister(caller)
        self._forbearance = Forbearance(caller)
        self._serves = False

    def probe(self) -> Iterator[Observation]:
        """Negotiate, ask, and fetch one object twice.

        Raises:
            ArchiveError: the archive does not answer, or does not want us.
        """
        yield from self._services()
        yield from self._storage()
        if self._store is not None and self._caller.settings.canaries:
            yield from observe_canaries(self._caller, self._reader, self._store)
        studies, more = self._studies()
        yield from self._known("study-query", partial(self._latency, studies))
        if self._lister.patients.needed:
            value = "not told of: inventories ask patient by patient"
            yield Observation(name="studies-without-patient", value=value)
        elif isinstance(more, ArchiveError):
            value = f"not known: an answer broke off after {len(studies)} studies: {more}"
            yield Observation(name="answers-to-one-query", value=value)
        else:
            yield from self._known("answers-to-one-query", partial(self._matching, studies, more=more))
        if not studies:
            return
        yield from self._known("counts", partial(self._counts, studies[:_SAMPLED]))
        yield from self._known("two-retrievals", partial(self._object, studies))
        yield from self._side_by_side(studies)

    def _known(self, name: str, observe: Callable[[], Iterator[Observation]]) -> Iterator[Observation]:
        """What is observed; where the archive does not answer about that, but about others, that it is not known."""
        found = self._forbearance.asked(lambda: list(observe()))
        if isinstance(found, ArchiveError):
            yield Observation(name=name, value=f"not known: {found}")
        else:
            yield from found

    def _matching(self, studies: Sequence[Elements], *, more: bool) -> Iterator[Observation]:
        """How queries for studies are matched."""
        yield Observation(name="answers-to-one-query", value=self._cap(studies, more=more))
        if (cap := known_cap(self._caller.site)) is not None:
            yield Observation(name="answer-cap", value=str(cap), unit="studies")
        if studies:
            yield Observation(name="wild-cards", value=self._wild_cards(studies[0]))
            yield Observation(name="case-of-names", value=self._case(studies))

    # --------------------------------------------------------------------------------------------- what it agrees to

    def _services(self) -> Iterator[Observation]:
        models = {
            "study root C-FIND": MODELS["study-root"].find,
            "patient root C-FIND": MODELS["patient-root"].find,
            "C-MOVE": self._caller.models.move,
            "C-GET": self._caller.models.get,
        }
        contexts = [
            Context(
                abstract_syntax=uid,
                transfer_syntaxes=UNCOMPRESSED,
                extended=_RELATIONAL if uid == self._caller.models.find else b"",
            )
            for uid in (VERIFICATION, COMMITMENT_PUSH, *models.values())
        ]
        with self._caller.association(contexts) as association:
            accepted = {context.abstract_syntax for context in association.accepted}
            with Stopwatch() as watch:
                echo(association)
            relational = association.extended.get(self._caller.models.find, b"")[:1] == _RELATIONAL
            yield Observation(name="software", value=association.implementation or "not told")
        yield Observation(name="echo", value=watch.milliseconds, unit="ms")
        told = [name for name, uid in models.items() if uid in accepted]
        yield Observation(name="query-and-retrieve", value=", ".join(told) or "none of our models is accepted")
        yield Observation(name="relational-queries", value="accepted" if relational else "not accepted")
        commits = "accepted" if COMMITMENT_PUSH in accepted else "not accepted: leave commitment = false"
        yield Observation(name="storage-commitment", value=commits)

    def _storage(self) -> Iterator[Observation]:
        classes = storage_classes()
        refused = self._refused([Context(abstract_syntax=uid, transfer_syntaxes=UNCOMPRESSED) for uid in classes])
        yield Observation(name="storage-classes", value=_shares(len(classes), [uid for uid, _ in refused]))
        syntaxes = [Context(abstract_syntax=_CT, transfer_syntaxes=(syntax,)) for syntax in SYNTAXES]
        lacking = [syntax for _, syntax in self._refused(syntaxes)]
        yield Observation(name="storage-syntaxes", value=_shares(len(SYNTAXES), lacking))

    def _refused(self, contexts: Sequence[Context]) -> list[tuple[str, str]]:
        """Class and first syntax of each context that is refused when objects are offered."""
        refused: list[tuple[str, str]] = []
        # With verification there is always something to agree on: a class that is refused ends no association.
        verification = Context(abstract_syntax=VERIFICATION, transfer_syntaxes=UNCOMPRESSED)
        for first in range(0, len(contexts), MAX_CONTEXTS - 1):
            group = contexts[first : first + MAX_CONTEXTS - 1]
            with self._caller.association([verification, *group]) as association:
                refused += [
                    (context.abstract_syntax, context.transfer_syntaxes[0])
                    for context in association.refused
                    if context.abstract_syntax != VERIFICATION
                ]
        return refused

    # ------------------------------------------------------------------------------------------------ how it answers

    def _studies(self) -> tuple[list[Elements], bool | ArchiveError]:
        """The studies with a date that one query shows, not many more than ``_MOST``.

        Also whether there were more, or how the answer broke off each time.
        """
        found: list[Elements] = []
        if self._lister.patients.needed:
            for patient in self._lister.patients.all()[:_SAMPLED]:
                found += self._lister.of_patient(patient, {})
            return found, False

        def more() -> bool:
            found.clear()
            for answer in self._lister.stream({**at.STUDY_KEYS, at.STUDY_DATE: _EVERY_DAY}):
                found.append(answer)
                if len(found) > _MOST:
                    return True
            return False

        return found, self._forbearance.asked(lambda: self._caller.again(more))

    def _latency(self, studies: Sequence[Elements]) -> Iterator[Observation]:
        if not studies:
            return
        above = self._above(studies[0])
        with Stopwatch() as watch:
            self._question()
        yield Observation(name="study-query", value=watch.milliseconds, unit="ms")
        with Stopwatch() as watch:
            series = self._lister.ask({**at.SERIES_KEYS, **above}, at.SERIES_UID).found
        yield Observation(name="series-query", value=watch.milliseconds, unit="ms")
        if series:
            keys = {**at.IMAGE_KEYS, **above, at.SERIES_UID: series[0].text(at.SERIES_UID)}
            with Stopwatch() as watch:
                self._lister.ask(keys, at.SOP_UID)
            yield Observation(name="image-query", value=watch.milliseconds, unit="ms")

    def _side_by_side(self, studies: Sequence[Elements]) -> Iterator[Observation]:
        """How many associations it bears; what is measured holds for later work, unless the settings say otherwise.

        They retrieve, as that work does; where nothing can be retrieved, or not in good time, they ask.
        """
        found = self._borne_retrievals(studies) if self._serves else None
        bearing = found or side_by_side(self._caller, self._question, at_most=most(self._caller))
        if bearing.refused is not None:
            yield Observation(name="associations-refused", value=str(bearing.refused), unit="at once")
        unit = "associations, measured with " + ("retrievals" if found else "queries")
        yield Observation(name="side-by-side", value=str(bearing.best), unit=unit)
        if self._caller.settings.associations is None:
            remember_associations(self._caller.site, bearing.best)
            self._caller.slots.most = bearing.best

    def _borne_retrievals(self, studies: Sequence[Elements]) -> Bearing | None:
        asked = [_told_of(study) for study in studies[:_LOOKED_AT]]
        wanted = self._forbearance.asked(lambda: pieces(self._caller, self._reader, asked))
        return None if isinstance(wanted, ArchiveError) else retrievals(self._caller, self._reader, wanted)

    def _question(self) -> None:
        """A small question: the studies of one day of long ago."""
        keys = {at.LEVEL: "STUDY", at.STUDY_UID: "", at.STUDY_DATE: "19700101"}
        if self._lister.patients.needed:
            keys[at.PATIENT_ID] = _NOBODY
        self._lister.ask(keys, at.STUDY_UID)

    def _cap(self, studies: Sequence[Elements], *, more: bool) -> str:
        """Whether an answer that looks long is cut short: the same question in two halves shows more."""
        if more:
            return f"over {_MOST} studies, not cut short there"
        dates = sorted(answer.text(at.STUDY_DATE) for answer in studies)
        middle = dates[len(dates) // 2] if dates else ""
        if len(studies) < 2 or not middle.isdigit():
            return "too few studies to see a cap"
        halves = {
            answer.text(at.STUDY_UID)
            for days in (f"{_EVERY_DAY}{middle}", f"{middle}-")
            for answer in self._lister.stream({at.LEVEL: "STUDY", at.STUDY_UID: "", at.STUDY_DATE: days})
        }
        hidden = halves - {answer.text(at.STUDY_UID) for answer in studies}
        if hidden:
            remember_cap(self._caller.site, len(studies))
            return f"cut short at {len(studies)} studies: narrower queries show more"
        return f"{len(studies)} studies, not cut short"

    def _wild_cards(self, study: Elements) -> str:
        patient = study.text(at.PATIENT_ID)
        if len(patient) < 2 or any(character in patient for character in "*?\\"):
            return "not known: the first study has no usable Patient ID"
        found = self._found({at.PATIENT_ID: f"{patient[:-1]}*"})
        if study.text(at.STUDY_UID) not in {answer.text(at.STUDY_UID) for answer in found}:
            return "not honoured: nothing is found by the beginning of a Patient ID"
        strays = sum(not answer.text(at.PATIENT_ID).startswith(patient[:-1]) for answer in found)
        return "honoured" if not strays else "ignored: other Patient IDs come too"

    def _case(self, studies: Sequence[Elements]) -> str:
        named = next((one for one in studies if (name := one.text(at.PATIENT_NAME)) and name != name.swapcase()), None)
        if named is None or any(character in named.text(at.PATIENT_NAME) for character in "*?\\"):
            return "not known: no study has a usable name"
        found = self._found({at.PATIENT_NAME: named.text(at.PATIENT_NAME).swapcase()})
        same = named.text(at.STUDY_UID) in {answer.text(at.STUDY_UID) for answer in found}
        return "not told apart" if same else "told apart"

    def _found(self, keys: Keys) -> list[Elements]:
        asked = {at.LEVEL: "STUDY", at.STUDY_UID: "", at.PATIENT_ID: ""}
        try:
            return self._lister.ask({**asked, **keys}, at.STUDY_UID).found
        except ArchiveError as problem:
            if problem.transient:
                raise
            return []  # an archive that refuses such a query does not honour it either

    def _counts(self, studies: Sequence[Elements]) -> Iterator[Observation]:
        told = wrong = 0
        for study in studies:
            count = at.number(study, at.STUDY_INSTANCES)
            if count is not None:
                told += 1
                wrong += count != len(self._lister.listing([study]).instances)
        value = "as listed" if not wrong else f"not those of the image level in {wrong} of {told} studies"
        if not told:
            value = "not told: what an inventory expects rests on series and images alone"
        yield Observation(name="counts", value=value)

    # ---------------------------------------------------------------------------------------------- how it serves one

    def _object(self, studies: Sequence[Elements]) -> Iterator[Observation]:
        if self._caller.settings.retrieve == "push":
            yield Observation(name="two-retrievals", value="not known: objects come when the archive's operator sends")
            return
        for study in studies[:_SAMPLED]:
            if wanted := pieces(self._caller, self._reader, [_told_of(study)]):
                self._serves = yield from served(self._caller, self._reader, wanted[0])
                return

    def _above(self, study: Elements) -> dict[int, str]:
        above = {at.STUDY_UID: study.text(at.STUDY_UID)}
        if self._caller.settings.query_model == "patient-root":
            above[at.PATIENT_ID] = study.text(at.PATIENT_ID)
        return above


def _told_of(study: Elements) -> tuple[StudyRef, int]:
    """A study, and how many objects it is said to have; 0 where nothing is said."""
    return StudyRef(study_uid=StudyUID(study.text(at.STUDY_UID))), at.number(study, at.STUDY_INSTANCES) or 0


def _shares(whole: int, refused: Sequence[str]) -> str:
    if not refused:
        return f"all of {whole} accepted"
    told = ", ".join(refused[:_TOLD]) + (f" and {len(refused) - _TOLD} more" if len(refused) > _TOLD else "")
    return f"{whole - len(refused)} of {whole} accepted; refused: {told}"
