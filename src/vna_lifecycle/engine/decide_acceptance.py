"""What people decide about a wave, or the program, as it was found: waivers, their withdrawal, and sign-offs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

from attrs import frozen

from vna_lifecycle.engine.gate import GateTerms, sign_off_void, waiver_void, waivers_today
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.signature import fingerprint, public_of, read_private, sign, statement
from vna_lifecycle.errors import ConfigurationError, StateError
from vna_lifecycle.model.event import FindingsWaived, SignedOff, WaiverWithdrawn
from vna_lifecycle.policy.authority import Decider

WAIVES = "I accept these findings as they are on record"
SIGNS_OFF = "I have examined what acceptance found, and approve of this wave being used for care"
_NEW_KEY = "Make a pair of keys: vna-lifecycle sign --new-key PATH"


@frozen(kw_only=True)
class WaiverOnRecord:
    """A waiver with what it covers: ``findings`` in all, ``open`` of these still. ``void`` says why it does not hold.

    ``signed`` says that a key signed it. ``wave`` is ``""`` for findings about the program or a source.
    """

    waiver: str
    wave: str
    finding: str
    findings: int
    open: int
    by: str
    role: str
    reason: str
    expires: str
    time: str
    signed: bool
    void: str


@frozen(kw_only=True)
class SignOffOnRecord:
    """A sign-off of a wave as acceptance number ``attempt`` found it. ``void`` says why it does not hold."""

    wave: str
    attempt: int
    by: str
    role: str
    meaning: str
    expires: str
    time: str
    signed: bool
    void: str


@frozen(kw_only=True)
class Deciding:
    """Who decides and how it goes on record. ``key`` is the private key in PEM, or ``""``; ``nonce`` gives new ones."""

    journal: Journal
    terms: GateTerms
    by: str
    key: str
    nonce: Callable[[], str]

    def waive(self, wave: str, kind: str, *, study: str, reason: str, expires: dt.date | None) -> WaiverOnRecord:
        """Accept the open findings of a kind in a wave (``""``: about the program), of one study if ``study`` names it.

        Covered is what is open now and no waiver covers yet: what is found later, or otherwise, is not.

        Raises:
            ConfigurationError: the person, the key, the reason or the day cannot be used.
            StateError: there is no such finding.
        """
        journal = self.journal
        journal.sync()
        person, key = self._person("a waiver"), self._key("a waiver")
        last_day = _check_words(reason, "a waiver needs a reason", expires, self.terms.today)
        standing, _ = waivers_today(journal, self.terms, wave)
        lines = list(journal.catalog.decisions.open_lines(wave, kind, study, waivers=standing))
        covers = {line.evidence_ref: line.study for line in lines}
        if not covers:
            raise self._nothing_to_waive(wave, kind, study, standing)
        nonce = self.nonce()
        says: dict[str, str | int] = {
            "waiver": nonce[:8],
            "wave": wave,
            "finding": kind,
            "findings": len(covers),
            "covers_ref": journal.keep_members(sorted(covers.items())),
            "reason": reason,
            "by": person.name,
            "role": person.role,
            "expires": last_day,
        }
        text, signature = self._signed("waiver", WAIVES, says, nonce, key)
        event = FindingsWaived(**says, key=person.key, statement=text, signature=signature)  # type: ignore[arg-type]  # texts and one number, by name
        (recorded,) = journal.record([(f"waiver/{event.waiver}", event)], actor=person.name)
        return WaiverOnRecord(
            waiver=event.waiver,
            wave=wave,
            finding=kind,
            findings=len(covers),
            open=len(covers),
            by=person.name,
            role=person.role,
            reason=reason,
            expires=last_day,
            time=recorded.time,
            signed=bool(signature),
            void="",
        )

    def sign(self, wave: str, *, meaning: str, expires: dt.date | None) -> SignOffOnRecord:
        """Stand for a wave as its latest acceptance found it.

        Raises:
            ConfigurationError: the person, the key, the meaning or the day cannot be used.
            StateError: acceptance has not passed, or the wave has changed since.
        """
        journal = self.journal
        journal.sync()
        person, key = self._person("a sign-off"), self._key("a sign-off")
        last_day = _check_words(meaning, "a sign-off needs a meaning", expires, self.terms.today)
        attempts = journal.catalog.decisions.attempts(wave)
        last = attempts[-1] if attempts else None
        if last is None or last.outcome != "passed" or not last.current:
            why = "has not examined it" if last is None else f"number {last.attempt} {last.outcome or 'has not ended'}"
            if last is not None and not last.current:
                why = f"number {last.attempt} was before studies of it moved"
            raise StateError(
                f"wave {wave} cannot be signed off: acceptance {why}", hint=f"See: vna-lifecycle accept {wave}"
            )
        says: dict[str, str | int] = {
            "wave": wave,
            "attempt": last.attempt,
            "meaning": meaning,
            "by": person.name,
            "role": person.role,
            "expires": last_day,
        }
        nonce = self.nonce()
        text, signature = self._signed("sign-off", meaning, {**says, "result_ref": last.result_ref}, nonce, key)
        event = SignedOff(**says, key=person.key, statement=text, signature=signature)  # type: ignore[arg-type]  # texts and one number, by name
        (recorded,) = journal.record([(f"sign-off/{wave}/{nonce}", event)], actor=person.name)
        return SignOffOnRecord(
            wave=wave,
            attempt=last.attempt,
            by=person.name,
            role=person.role,
            meaning=meaning,
            expires=last_day,
            time=recorded.time,
            signed=bool(signature),
            void="",
        )

    def withdraw_waiver(self, waiver: str, *, reason: str) -> None:
        """A waiver shall not hold any more. Anybody in program.toml may say so, and needs no key for it.

        Raises:
            StateError: there is no such waiver, or it is withdrawn already.
        """
        journal = self.journal
        journal.sync()
        person = self._person("a withdrawal", needs_key=False)
        if not reason.strip():
            raise ConfigurationError("a withdrawal needs a reason", hint="Say --reason WHY")
        known = {line.waiver: line for line in journal.catalog.decisions.waivers()}
        if waiver not in known:
            raise StateError(f"there is no waiver {waiver!r}", hint="See: vna-lifecycle waivers")
        if known[waiver].withdrawn:
            raise StateError(f"waiver {waiver} is withdrawn already", hint="See: vna-lifecycle waivers")
        event = WaiverWithdrawn(waiver=waiver, by=person.name, reason=reason)
        journal.record([(f"waiver/{waiver}/withdrawn", event)], actor=person.name)

    # ------------------------------------------------------------------------------------------------ within

    def _person(self, what: str, *, needs_key: bool = True) -> Decider:
        people = {person.name: person for person in self.terms.people}
        if self.by not in people:
            listed = f"It lists: {', '.join(people)}" if people else "Add [people.NAME] with a role"
            raise ConfigurationError(f"{what} needs a person of program.toml, and {self.by!r} is none", hint=listed)
        person = people[self.by]
        if needs_key and person.revoked is not None and person.revoked <= self.terms.today:
            since = f"revoked from {person.revoked.isoformat()} on"
            raise ConfigurationError(f"the key of {self.by} is {since}", hint="Another person must decide")
        if needs_key and person.unreadable:
            raise ConfigurationError(f"the public key of {self.by} cannot be used: {person.unreadable}", hint=_NEW_KEY)
        return person

    def _key(self, what: str) -> str:
        """The private key, after it was found to be this person's; ``""`` where there is none on either side."""
        person = self._person(what)
        if not person.key and self.key:
            raise ConfigurationError(
                f"program.toml has no public key of {self.by}, so nobody could check the signature",
                hint=f'Add key = "file:PATH.pub" to [people.{self.by}], or leave --key out',
            )
        if person.key and not self.key:
            said = f"{self.by} has a key in program.toml: {what} must be signed"
            raise ConfigurationError(said, hint="Say --key file:PATH or --key env:NAME")
        if self.key and fingerprint(public_of(read_private(self.key))) != person.key:
            raise ConfigurationError(
                f"--key is not the key of {self.by}: program.toml has another public key",
                hint="Nothing was put on record",
            )
        return self.key

    def _signed(self, what: str, meaning: str, says: dict[str, str | int], nonce: str, key: str) -> tuple[str, str]:
        """What is signed, of which program and at which size of its ledger, and the signature; empty without a key."""
        if not key:
            return "", ""
        head = self.journal.ledger.head()
        text = statement(
            {
                **says,
                "statement": f"vna-lifecycle {what} 1",
                "meaning": meaning,
                "origin": self.journal.ledger.origin,
                "ledger_size": head.size,
                "ledger_root": head.root,
                "nonce": nonce,
            }
        )
        return text, sign(text, read_private(key))

    def _nothing_to_waive(self, wave: str, kind: str, study: str, standing: frozenset[str]) -> StateError:
        decisions = self.journal.catalog.decisions
        kinds = sorted({line.kind for line in decisions.open_lines(wave, waivers=standing)})
        of_what = "about the program" if not wave else f"in wave {wave}"
        of_study = " about this study" if study else ""
        places = ["", *self.journal.catalog.wave_names()]
        elsewhere = [name for name in places if name != wave and any(decisions.open_lines(name, kind, study))]
        looks = f"transfer {wave}, then accept {wave}" if wave else "inventory, then truth"
        if elsewhere:
            hint = (
                f"It is open elsewhere: waive {elsewhere[0]}"
                if elsewhere[0]
                else "It is about the program: name no wave"
            )
        elif kinds:
            hint = f"Open are: {', '.join(kinds)}"
        else:
            hint = f"Nothing is open there. What there is to find is found by: {looks}"
        return StateError(
            f"there is no open finding of kind {kind!r}{of_study} {of_what} that is not waived already", hint=hint
        )


def waivers_on_record(journal: Journal, terms: GateTerms) -> Iterator[WaiverOnRecord]:
    """Every waiver, in order, with whether it holds today."""
    for line in journal.catalog.decisions.waivers():
        yield WaiverOnRecord(
            waiver=line.waiver,
            wave=line.wave,
            finding=line.finding,
            findings=line.findings,
            open=line.open,
            by=line.by,
            role=line.role,
            reason=line.reason,
            expires=line.expires,
            time=line.time,
            signed=bool(line.signature),
            void=waiver_void(journal, terms, line),
        )


def sign_offs_on_record(journal: Journal, terms: GateTerms) -> Iterator[SignOffOnRecord]:
    """Every sign-off, wave by wave, with whether it holds today."""
    for wave in journal.catalog.wave_names():
        for line in journal.catalog.decisions.sign_offs(wave):
            yield SignOffOnRecord(
                wave=wave,
                attempt=line.attempt,
                by=line.by,
                role=line.role,
                meaning=line.meaning,
                expires=line.expires,
                time=line.time,
                signed=bool(line.signature),
                void=sign_off_void(journal, terms, line),
            )


def _check_words(words: str, lacking: str, expires: dt.date | None, today: dt.date) -> str:
    """The last day as it goes on record."""
    if not words.strip():
        raise ConfigurationError(lacking, hint="Say why, in words that an auditor understands")
    if expires is not None and expires < today:
        raise ConfigurationError(f"{expires.isoformat()} is over already", hint="Name a day from today on")
    return expires.isoformat() if expires is not None else ""
