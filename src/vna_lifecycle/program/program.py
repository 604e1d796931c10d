"""A program as users hold it: opened from its folder, with one method for each step."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from vna_lifecycle._version import __version__
from vna_lifecycle.catalog import FindingLine
from vna_lifecycle.config import Config, load_config
from vna_lifecycle.engine import decide
from vna_lifecycle.engine.accept_result import Acceptance
from vna_lifecycle.engine.catchup import CatchUpResult
from vna_lifecycle.engine.gate import readiness_of
from vna_lifecycle.engine.inventory import InventoryResult
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.pending import Pending, pending
from vna_lifecycle.engine.plan import make_plan
from vna_lifecycle.engine.progress import Tell, silent
from vna_lifecycle.engine.status import Status, take_status
from vna_lifecycle.engine.transfer import TransferResult
from vna_lifecycle.engine.truth import TruthResult
from vna_lifecycle.engine.withdraw import WithdrawResult, withdraw_wave
from vna_lifecycle.errors import ConfigurationError, StateError
from vna_lifecycle.ledger import InclusionProof, Lease, Ledger, Verification, load_key
from vna_lifecycle.model.event import LeaseTaken
from vna_lifecycle.model.finding import Finding
from vna_lifecycle.model.inventory import Refused
from vna_lifecycle.model.wave import Wave, WavePlan
from vna_lifecycle.plugin import Plugins, load_plugins
from vna_lifecycle.policy.readiness import Readiness
from vna_lifecycle.ports import Archive, Clock
from vna_lifecycle.program import accepting, effects
from vna_lifecycle.program.beginning import SERVICE, begin, open_catalog
from vna_lifecycle.program.bench import LocalBench, site, utc_now
from vna_lifecycle.program.deciding import gate_terms
from vna_lifecycle.program.knowing import read_truths
from vna_lifecycle.program.layout import Layout
from vna_lifecycle.program.reporting import Report, write_report
from vna_lifecycle.program.running import Pacing, local_bench
from vna_lifecycle.vault import Vault

SEED_BYTES = 32


class Program:
    """One migration, in its folder. Make one with `init`, open it with `open`, and close it (or use ``with``).

    Reading and deciding need nothing more. Methods with effects (inventory, plan, transfer, withdraw, catch-up) hold
    the program's lease meanwhile: only one process at a time can.
    """

    def __init__(self, folder: Path, config: Config, plugins: Plugins, clock: Clock) -> None:
        self.folder = folder
        self.config = config
        self.plugins = plugins
        self.cancelled = threading.Event()
        self._layout = Layout(folder)
        self.clock = clock
        self._archives: dict[str, Archive] = {}
        self.vault = Vault.open(self._layout.vault, self._layout.keys)
        self.ledger = Ledger.open(self._layout.ledger, clock=clock, signing_key=load_key(self._layout.signing_key))
        self.catalog = open_catalog(self._layout, self.ledger, self.vault, clock)

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
        """
        layout = Layout(Path(folder).resolve())
        if not layout.config.exists():
            raise ConfigurationError(
                f"no program.toml in {layout.folder}", hint="Make a program there: vna-lifecycle init"
            )
        plugins = plugins if plugins is not None else load_plugins()
        config = load_config(layout.config, plugins.registry)
        if not layout.ledger.exists():
            raise StateError("program.toml is there, the program is not", hint="Make it: vna-lifecycle init")
        return cls(layout.folder, config, plugins, clock)

    def close(self) -> None:
        """Release archives and databases."""
        for archive in self._archives.values():
            archive.reads.close()
        self._archives.clear()
        self.catalog.close()
        self.ledger.close()
        self.vault.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def name(self) -> str:
        """The program's name."""
        return self.config.name

    def archive(self, name: str) -> Archive:
        """The archive of that name in program.toml, opened at its first use.

        Raises:
            ArchiveError: it does not answer.
        """
        if name not in self._archives:
            config = self.config.archive(name)
            plugin = self.plugins.registry.archives[config.plugin]
            self._archives[name] = plugin.open(config.settings, site(self.folder, name, self.clock, self.cancelled))
        return self._archives[name]

    def cancel(self) -> None:
        """Ask running work to stop soon; what is not finished is taken up by the same call later."""
        self.cancelled.set()

    # ------------------------------------------------------------------------------------------------ effects

    def take_inventory(self, archives: Sequence[str] = (), *, progress: Tell = silent) -> list[InventoryResult]:
        """Inventory the named archives (all sources, unless named). An interrupted pass is taken up again.

        Then the databases of those that are sources are read, and what is known of the sources goes on record.

        Raises:
            ConfigurationError: an extract of a source's database cannot be used; the inventory is on record then.
        """
        with self._effects("inventory") as journal:
            return effects.inventory(self, journal, archives or self.config.migration.sources, progress)

    def read_truth(self, archives: Sequence[str] = ()) -> list[TruthResult]:
        """Read the databases of the named sources (all, unless named) again, without an inventory.

        Raises:
            ConfigurationError: an extract cannot be used.
        """
        with self._effects("truth") as journal:
            return read_truths(self, journal, archives or self.config.migration.sources)

    def plan(self, *, dry_run: bool = False) -> WavePlan:
        """Fill the waves of program.toml from the latest inventories."""
        migration = self.config.migration
        with self._effects("plan") as journal:
            return make_plan(
                journal,
                migration.sources,
                self.config.waves,
                self.config.exclusions,
                now=self.clock(),
                dry_run=dry_run,
            )

    def transfer(self, wave: str | Wave, *, retry: bool = False, progress: Tell = silent) -> TransferResult:
        """Copy a wave's studies to the target and read every instance back.

        With ``retry``, also studies that ended incomplete or failed are tried again.

        Raises:
            StateError: there is no such wave.
            ArchiveError, StorageError: the wave had to stop; the same call goes on from there.
        """
        name = self._wave(wave)
        migration = self.config.migration
        for archive in (*migration.sources, migration.target):
            self.archive(archive)  # one that is not there to begin with is told at once
        with self._effects("transfer") as journal:
            return effects.transfer(self, journal, name, retry=retry, tell=progress)

    def accept(self, wave: str | Wave, *, census: bool = False, progress: Tell = silent) -> Readiness:
        """Let every check look at a wave's transferred studies, and say whether the wave is ready for care.

        A sample is drawn, or all of the wave with ``census``, and fetched again as readers are served it. An acceptance
        that was cut off goes on with its sample. `acceptance` has all figures.

        Raises:
            StateError: there is no such wave, nothing of it was transferred, or its samples are used up.
            ArchiveError, StorageError: acceptance had to stop; the same call takes it up.
        """
        name = self._wave(wave)
        with self._effects("accept") as journal:
            seed = secrets.token_hex(SEED_BYTES)
            accepting.accept(self, journal, name, seed=seed, census=census, tell=progress)
            return readiness_of(journal, gate_terms(self), name)

    def withdraw(
        self, wave: str | Wave, *, by: str, reason: str, dry_run: bool = False, progress: Tell = silent
    ) -> WithdrawResult:
        """Take this program's own copies of a wave back from the target, each verified present at the source."""
        name, person = self._wave(wave), self._person(by)
        with self._effects("withdraw") as journal:
            return withdraw_wave(
                journal,
                self._bench(),
                name,
                self.config.migration.target,
                by=person,
                reason=reason,
                dry_run=dry_run,
                tell=progress,
            )

    def catch_up(self, *, sample: int = 20, seed: int = 0, progress: Tell = silent) -> list[CatchUpResult]:
        """Inventory the sources again, compare with the pass before, and fetch touched and sampled studies again."""
        self.take_inventory(progress=progress)
        with self._effects("catch-up") as journal:
            return effects.catch_up_sources(self, journal, sample=sample, seed=seed, tell=progress)

    # ------------------------------------------------------------------------------------------------ decisions

    def pause(self, wave: str | Wave = "", *, by: str, reason: str = "") -> None:
        """Stop work on a wave, or on all, from any process: studies in flight are finished."""
        decide.pause(self._journal(None), self._wave(wave), by=self._person(by), reason=reason)

    def resume(self, wave: str | Wave = "", *, by: str, reason: str = "") -> None:
        """Let work on a wave, or on all, go on."""
        decide.resume(self._journal(None), self._wave(wave), by=self._person(by), reason=reason)

    def held(self, wave: str | None = None) -> list[decide.HeldContent]:
        """Contents that wait for a decision: several under one SOP Instance UID."""
        return list(decide.held_contents(self._journal(None), wave))

    def choose(self, sop_instance_uid: str, content: str, *, by: str, reason: str) -> decide.HeldContent:
        """Decide which of several contents a SOP Instance UID stands for, by the beginning of its SHA-256."""
        return decide.choose(self._journal(None), sop_instance_uid, content, by=self._person(by), reason=reason)

    # ------------------------------------------------------------------------------------------------ looking

    def status(self) -> Status:
        """Where the program stands: imported and ready, side by side."""
        journal = self._journal(None)
        journal.sync()
        return take_status(self.name, journal, gate_terms(self))

    def acceptance(self, wave: str | Wave) -> Acceptance | None:
        """All figures of the latest acceptance of a wave that ended; None before any."""
        return accepting.latest(self._journal(None), self._wave(wave))

    def checks(self) -> list[accepting.CheckInfo]:
        """Every registered acceptance check, by name: who brings it, what it is shown, and whether it must tell."""
        return accepting.listed(self)

    def waves(self) -> list[str]:
        """The names of the planned waves, in order."""
        return self.catalog.wave_names()

    def pending(self, wave: str | Wave, *, retry: bool = False) -> Pending:
        """What `transfer` would take up now."""
        attempts = self.config.execution.attempts
        return pending(self.catalog, self._wave(wave), attempts=attempts, retry=retry)

    def refused(self) -> Iterator[tuple[str, Refused]]:
        """What the latest passes over the sources could not trust, each with its archive."""
        for name in self.config.migration.sources:
            number = self.catalog.latest_inventory(name)
            if number is not None:
                yield from ((name, item) for item in self.catalog.refused(number))

    def evidence(self, line: FindingLine) -> Finding:
        """The whole finding behind a line, with the UIDs that it is about.

        Raises:
            EvidenceErased: it was erased on purpose.
        """
        return self._journal(None).read_finding(line.evidence_ref)

    def findings(self, wave: str | None = None, *, settled: bool = False) -> list[FindingLine]:
        """What was found and is open, of one wave or of all, oldest first; also what is settled, if asked."""
        return list(self.catalog.findings(wave, settled=settled))

    def report(self, folder: Path | str | None = None) -> Report:
        """Write the report as one HTML page, JSON and CSV tables, into the program's ``reports`` unless told where.

        Raises:
            StorageError: it cannot be written; the report that was there is as it was.
        """
        return write_report(self, Path(folder) if folder is not None else self._layout.reports)

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

    @contextmanager
    def _effects(self, verb: str) -> Iterator[Journal]:
        with Lease.take(self.ledger, self._layout.lease, holder=verb) as lease:
            journal = self._journal(lease.epoch)
            taken = LeaseTaken(
                epoch=lease.epoch,
                verb=verb,
                software=f"vna_lifecycle {__version__}",
                plugins=self.plugins.versions,
            )
            journal.record([(f"lease/{lease.epoch}", taken)])
            yield journal

    def _journal(self, epoch: int | None) -> Journal:
        notify = self.plugins.notify if self.plugins.listening else None
        return Journal(self.ledger, self.catalog, self.vault, actor=SERVICE, epoch=epoch, notify=notify)

    def _bench(self) -> LocalBench:
        return local_bench(self, Pacing(self.config.execution, self.clock))

    def _wave(self, wave: str | Wave) -> str:
        name = wave.name if isinstance(wave, Wave) else wave
        known = self.catalog.wave_names()
        if name and name not in known:
            raise StateError(f"there is no wave {name!r}", hint=f"Planned are: {', '.join(known) or 'none yet'}")
        return name

    def _person(self, name: str) -> str:
        """Decisions need a name; where program.toml lists people, one of those."""
        people = [person.name for person in self.config.people]
        if not name.strip():
            raise ConfigurationError("a decision needs the name of the person who makes it", hint="Say --by PERSON")
        if people and name not in people:
            raise ConfigurationError(f"program.toml knows no person {name!r}", hint=f"It lists: {', '.join(people)}")
        return name
