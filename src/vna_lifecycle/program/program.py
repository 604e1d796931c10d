"""A program as users hold it: opened from its folder, with one method for each step."""

from __future__ import annotations

import datetime as dt
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from vna_lifecycle.catalog import FindingLine
from vna_lifecycle.config import Config
from vna_lifecycle.engine import decide, decide_acceptance
from vna_lifecycle.engine.accept_result import Acceptance
from vna_lifecycle.engine.catchup import CatchUpResult
from vna_lifecycle.engine.cutover import CutoverResult, result_of
from vna_lifecycle.engine.decide_acceptance import SIGNS_OFF, SignOffOnRecord, WaiverOnRecord
from vna_lifecycle.engine.gate import gate, readiness_of
from vna_lifecycle.engine.inventory import InventoryResult
from vna_lifecycle.engine.pending import Pending, pending
from vna_lifecycle.engine.profile import Profile, read_profile, record_profile
from vna_lifecycle.engine.progress import Tell, silent
from vna_lifecycle.engine.status import Status, take_status
from vna_lifecycle.engine.transfer_result import TransferResult
from vna_lifecycle.engine.truth import TruthResult
from vna_lifecycle.engine.withdraw import WithdrawRequest, WithdrawResult
from vna_lifecycle.errors import VnaLifecycleError
from vna_lifecycle.ledger import InclusionProof, Verification
from vna_lifecycle.model.event import RecordedEvent
from vna_lifecycle.model.finding import Finding
from vna_lifecycle.model.inventory import Refused
from vna_lifecycle.model.wave import Wave, WavePlan
from vna_lifecycle.plugin import Plugins, load_plugins
from vna_lifecycle.policy.readiness import Readiness
from vna_lifecycle.ports import Archive, Clock
from vna_lifecycle.program import accepting, effects
from vna_lifecycle.program.archives import OpenArchives
from vna_lifecycle.program.beginning import begin, existing
from vna_lifecycle.program.bench import site, utc_now
from vna_lifecycle.program.deciding import ask_to_cut_over, deciding, known_person
from vna_lifecycle.program.knowing import read_truths
from vna_lifecycle.program.layout import Layout
from vna_lifecycle.program.records import Records
from vna_lifecycle.program.terms import gate_terms

if TYPE_CHECKING:
    from vna_lifecycle.program.reporting import Report

SEED_BYTES = 32


class Program:
    """One migration, in its folder. Make one with `init`, open it with `open`, and close it (or use ``with``).

    Methods with effects (inventory, plan, transfer, withdraw, catch-up) hold
    the program's lease meanwhile: only one process at a time can.
    """

    def __init__(self, folder: Path, config: Config, plugins: Plugins, clock: Clock) -> None:
        self.folder = folder
        self.config = config
        self.plugins = plugins
        self.cancelled = threading.Event()
        self._layout = Layout(folder)
        self.clock = clock
        self._archives = OpenArchives(self._open_archive)
        self.records = Records(self._layout, clock, plugins)
        self.vault, self.ledger, self.catalog = self.records.vault, self.records.ledger, self.records.catalog

    # ------------------------------------------------------------------------------------------------ life

    @classmethod
    def init(cls, folder: Path | str, *, name: str = "", clock: Clock = utc_now) -> Path:
        """Make a program in ``folder``: a commented program.toml (unless there is one), keys, ledger and vault.

        Returns the path of program.toml, for people to edit.

        Raises:
            StateError: there is a program already.
        """
        return begin(Path(folder), name=name, clock=clock)

    @classmethod
    def open(cls, folder: Path | str = ".", *, plugins: Plugins | None = None, clock: Clock = utc_now) -> Self:
        """Open the program in ``folder``.

        Raises:
            ConfigurationError: program.toml is missing or cannot be used; every problem is listed.
            StateError: there is a program.toml, and no program was made of it yet.
            LedgerCorrupt, CatalogCorrupt, StorageError: something in the folder is damaged.
            LedgerReplaced: the ledger is older than, or another than, the one that was here.
        """
        plugins, layout = plugins if plugins is not None else load_plugins(), Layout(Path(folder).resolve())
        return cls(layout.folder, existing(layout, plugins), plugins, clock)

    def close(self) -> None:
        """Release archives and databases; what fails to close keeps none of the others open."""
        with ExitStack() as closing:
            closing.callback(self.records.close)
            closing.callback(self._archives.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except VnaLifecycleError as trouble:
            if error is None:
                raise
            error.add_note(f"and at the end: {trouble}")  # what stopped the work is what matters

    @property
    def name(self) -> str:
        """The program's name."""
        return self.config.name

    def archive(self, name: str) -> Archive:
        """The archive of that name in program.toml, opened at its first use.

        Raises:
            ArchiveError: it does not answer.
        """
        return self._archives.get(name)

    def cancel(self) -> None:
        """Ask running work to stop soon; what is not finished is taken up by the same call later."""
        self.cancelled.set()

    # ------------------------------------------------------------------------------------------------ effects

    def take_inventory(self, archives: Sequence[str] = (), *, progress: Tell = silent) -> list[InventoryResult]:
        """Inventory the named archives (all sources, unless named). An interrupted pass is taken up again.

        Then the sources' databases are read; an extract that cannot be used is a ConfigurationError, after all else.
        """
        with self.records.effects("inventory") as journal:
            return effects.inventory(self, journal, archives or self.config.migration.sources, progress)

    def read_truth(self, archives: Sequence[str] = ()) -> list[TruthResult]:
        """Read the databases of the named sources (all, unless named) again, without an inventory."""
        with self.records.effects("truth") as journal:
            return read_truths(self, journal, archives or self.config.migration.sources)

    def profile(self, archive: str, *, renew: bool = False) -> Profile | None:
        """How an archive was last seen to behave, None before any look; with ``renew``, it is observed now."""
        if not renew:
            return read_profile(self.records.journal(), archive)
        with self.records.effects("profile") as journal:
            return record_profile(journal, archive, self.archive(archive).probes)

    def plan(self, *, dry_run: bool = False) -> WavePlan:
        """Fill the waves of program.toml from the latest inventories."""
        with self.records.effects("plan") as journal:
            return effects.plan(self, journal, dry_run=dry_run)

    def transfer(self, wave: str | Wave, *, retry: bool = False, progress: Tell = silent) -> TransferResult:
        """Copy a wave's studies to the target and read every instance back.

        With ``retry``, also studies that ended incomplete or failed are tried again.

        Raises:
            StateError: there is no such wave.
            ArchiveError, StorageError: the wave had to stop; the same call goes on from there.
        """
        name = self.records.wave(wave)
        migration = self.config.migration
        for archive in (*migration.sources, migration.target):
            self.archive(archive)  # one that is not there to begin with is told at once
        with self.records.effects("transfer") as journal:
            return effects.transfer(self, journal, name, retry=retry, tell=progress)

    def accept(self, wave: str | Wave, *, census: bool = False, progress: Tell = silent) -> Readiness:
        """Let every check look at a wave's transferred studies, and say whether the wave is ready for care.

        A sample is drawn, or all of the wave with ``census``, and fetched again as readers are served it. An acceptance
        that was cut off goes on with its sample. `acceptance` has all figures.

        Raises:
            StateError: there is no such wave, nothing of it was transferred, or its samples are used up.
            ArchiveError, StorageError: acceptance had to stop; the same call takes it up.
        """
        name = self.records.wave(wave)
        with self.records.effects("accept") as journal:
            seed = secrets.token_hex(SEED_BYTES)
            accepting.accept(self, journal, name, seed=seed, census=census, tell=progress)
            return readiness_of(journal, gate_terms(self), name)

    def withdraw(
        self,
        wave: str | Wave,
        *,
        by: str,
        reason: str,
        study: str = "",
        superseded: bool = False,
        dry_run: bool = False,
        progress: Tell = silent,
    ) -> WithdrawResult:
        """Take this program's own copies of a wave back from the target, each verified present at the source.

        With ``study``, a Study Instance UID or label, those of this study alone. With ``superseded`` also copies in
        whose place the source holds other content by now under the same UID: the older content is then gone.
        """
        name, by, study = self.records.wave(wave), known_person(self, by), self.records.study(study)
        request = WithdrawRequest(by=by, reason=reason, study=study, superseded=superseded, dry_run=dry_run)
        with self.records.effects("withdraw") as journal:
            return effects.withdraw(self, journal, name, request, progress)

    def catch_up(self, *, sample: int = 20, seed: int = 0, progress: Tell = silent) -> list[CatchUpResult]:
        """Inventory the sources again, compare with the pass before, and fetch touched and sampled studies again."""
        self.take_inventory(progress=progress)
        with self.records.effects("catch-up") as journal:
            return effects.catch_up_sources(self, journal, sample=sample, seed=seed, tell=progress)

    # ------------------------------------------------------------------------------------------------ decisions

    def pause(self, wave: str | Wave = "", *, by: str, reason: str = "") -> None:
        """Stop work on a wave, or on all, from any process: studies in flight are finished."""
        decide.pause(self.records.journal(), self.records.wave(wave), by=known_person(self, by), reason=reason)

    def resume(self, wave: str | Wave = "", *, by: str, reason: str = "") -> None:
        """Let work on a wave, or on all, go on."""
        decide.resume(self.records.journal(), self.records.wave(wave), by=known_person(self, by), reason=reason)

    def held(self, wave: str | None = None) -> list[decide.HeldContent]:
        """Contents that wait for a decision: several under one SOP Instance UID."""
        return list(decide.held_contents(self.records.journal(), wave))

    def choose(self, sop_instance_uid: str, content: str, *, by: str, reason: str) -> decide.HeldContent:
        """Decide which of several contents a SOP Instance UID stands for, by the beginning of its SHA-256."""
        return decide.choose(
            self.records.journal(), sop_instance_uid, content, by=known_person(self, by), reason=reason
        )

    def waive(
        self,
        finding: str,
        *,
        wave: str | Wave = "",
        study: str = "",
        by: str,
        reason: str,
        expires: dt.date | None = None,
        key: str = "",
    ) -> WaiverOnRecord:
        """Accept the open findings of a kind in a wave (``""``: about the program), of one study if it is named.

        ``key`` tells where the person's private key is (``file:PATH`` or ``env:NAME``); needed where program.toml has
        a public key for them. ``expires`` is the last day. What is found later, or otherwise, is not covered.

        Raises:
            ConfigurationError: the person, the key, the reason or the day cannot be used.
            StateError: there is no such finding.
        """
        name = self.records.wave(wave)
        decision = deciding(self, by=by, key=key)
        return decision.waive(name, finding, study=self.records.study(study), reason=reason, expires=expires)

    def withdraw_waiver(self, waiver: str, *, by: str, reason: str) -> None:
        """A waiver shall not hold any more.

        Raises:
            StateError: there is no such waiver, or it is withdrawn already.
        """
        deciding(self, by=by).withdraw_waiver(waiver, reason=reason)

    def sign(
        self, wave: str | Wave, *, by: str, meaning: str = SIGNS_OFF, expires: dt.date | None = None, key: str = ""
    ) -> SignOffOnRecord:
        """Stand for a wave as its latest acceptance found it; ``key`` and ``expires`` as in `waive`.

        Raises:
            ConfigurationError: the person, the key or the day cannot be used.
            StateError: acceptance has not passed, or the wave has changed since.
        """
        return deciding(self, by=by, key=key).sign(self.records.wave(wave), meaning=meaning, expires=expires)

    def cutover(self, *, by: str, reason: str, dry_run: bool = False) -> CutoverResult:
        """Ask the gate whether reading may be switched to the target; what it says goes on record with all it saw.

        The target is compared once more with what was accepted. With ``dry_run`` the gate is only evaluated.

        Raises:
            KeyboardInterrupt: it was cancelled before everything was looked at; nothing was decided.
        """
        person = known_person(self, by)
        if dry_run:
            return result_of(gate(self.records.synced(), gate_terms(self)))
        with self.records.effects("cutover") as journal:
            return ask_to_cut_over(self, journal, by=person, reason=reason)

    # ------------------------------------------------------------------------------------------------ looking

    def waivers(self) -> list[WaiverOnRecord]:
        """Every waiver on record, with what it covers and whether it holds today."""
        return list(decide_acceptance.waivers_on_record(self.records.synced(), gate_terms(self)))

    def sign_offs(self) -> list[SignOffOnRecord]:
        """Every sign-off on record, with whether it holds today."""
        return list(decide_acceptance.sign_offs_on_record(self.records.synced(), gate_terms(self)))

    def readiness(self, wave: str | Wave) -> Readiness:
        """Whether a wave may be used for care today, with everything that is required.

        Raises:
            StateError: there is no such wave.
        """
        return readiness_of(self.records.synced(), gate_terms(self), self.records.wave(wave))

    def status(self) -> Status:
        """Where the program stands: imported and ready, side by side."""
        return take_status(self.name, self.records.synced(), gate_terms(self))

    def acceptance(self, wave: str | Wave) -> Acceptance | None:
        """All figures of the latest acceptance of a wave that ended; None before any."""
        return accepting.latest(self.records.journal(), self.records.wave(wave))

    def checks(self) -> list[accepting.CheckInfo]:
        """Every registered acceptance check, by name: who brings it, what it is shown, and whether it must tell."""
        return accepting.listed(self)

    def waves(self) -> list[str]:
        """The names of the planned waves, in order."""
        return self.catalog.wave_names()

    def pending(self, wave: str | Wave, *, retry: bool = False) -> Pending:
        """What `transfer` would take up now."""
        attempts = self.config.execution.attempts
        return pending(self.catalog, self.records.wave(wave), attempts=attempts, retry=retry)

    def refused(self) -> Iterator[tuple[str, Refused]]:
        """What the latest passes over the sources could not trust, each with its archive."""
        return effects.refused(self)

    def evidence(self, line: FindingLine) -> Finding:
        """The whole finding behind a line, with the UIDs that it is about.

        Raises:
            EvidenceErased: it was erased on purpose.
        """
        return self.records.journal().read_finding(line.evidence_ref)

    def findings(self, wave: str | None = None, *, settled: bool = False) -> list[FindingLine]:
        """What was found and is open, of one wave or of all, oldest first; also what is settled, if asked."""
        return list(self.catalog.findings(wave, settled=settled))

    def report(self, folder: Path | str | None = None) -> Report:
        """Write the report as one HTML page, JSON and CSV tables, into the program's ``reports`` unless told where.

        Raises:
            StorageError: it cannot be written; the report that was there is as it was.
        """
        from vna_lifecycle.program.reporting import write_report  # what draws pages costs every other verb its start

        return write_report(self, Path(folder) if folder is not None else self._layout.reports)

    def events(self, start: int = 0) -> Iterator[RecordedEvent]:
        """What is on record, oldest first, from event ``start`` on (the first is 0).

        Raises:
            LedgerCorrupt: an event is missing, or not what was recorded.
        """
        return self.ledger.read(start)

    def verify_ledger(self, *, deep: bool = False) -> Verification:
        """Check the ledger's bytes, tree and signed heads; with ``deep``, also replay what its events say."""
        return self.ledger.verify(deep=deep)

    def prove(self, sequence: int) -> InclusionProof:
        """A proof that event ``sequence`` is in the ledger, for somebody without this software."""
        return self.ledger.prove(sequence)

    def checkpoint(self) -> str:
        """A signed ledger head, to be kept elsewhere: only against such a one is a forked ledger found out."""
        return self.ledger.checkpoint()

    # ------------------------------------------------------------------------------------------------ within

    def _open_archive(self, name: str) -> Archive:
        config = self.config.archive(name)
        plugin = self.plugins.registry.archives[config.plugin]
        return plugin.open(config.settings, site(self.folder, name, self.clock, self.cancelled))
