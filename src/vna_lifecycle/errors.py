"""The exception tree: what went wrong, where, and what to do next, as fields.

::

    VnaLifecycleError                exit code
    ├── ConfigurationError           2   program.toml, arguments, settings: every problem at once
    │   └── PluginError              2   a plug-in that cannot be loaded or that clashes with another
    ├── ArchiveError                 3   an archive did not do what was asked; ``transient`` says try again
    │   ├── ArchiveFull              3   the archive has no room left; what was acknowledged is there
    │   ├── ArchiveUnreachable       3   the folder, host or bucket is not there
    │   ├── ArchiveReadOnly          3   the archive refuses to be written
    │   └── ArchiveRefused           3   the archive answered and would not have us, or has nothing in common with us
    ├── StorageError                 4   the program's own directory cannot be read or written
    │   ├── DiskFull                 4   no space is left; nothing was acknowledged
    │   ├── CatalogCorrupt           4   the catalog is damaged; it can be rebuilt
    │   └── SchemaTooNew             4   written by a newer version of this software
    ├── IntegrityError               5   evidence does not hold
    │   ├── LedgerCorrupt            5   the first bad event, by sequence number
    │   ├── LedgerReplaced           5   an older or another ledger than the one that was here
    │   └── VaultCorrupt             5   stored evidence is not what was put there
    ├── EvidenceErased               5   asked for evidence whose key was destroyed on purpose
    ├── LeaseHeld                    6   another coordinator runs this program
    ├── LeaseLost                    6   this coordinator was fenced off by a newer one
    ├── UnexpectedSize               6   a decision was made on an outdated view of the ledger
    ├── DicomRefused                 7   bytes that are not a DICOM object that can be trusted
    └── StateError                   8   the command does not fit the program's present state

A failed acceptance check is a finding, never an exception. Messages carry no patient data and no UIDs: those
are in fields, which the command line renders and logs leave out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar


def _restore(cls: type[VnaLifecycleError], args: tuple[Any, ...], fields: dict[str, Any]) -> VnaLifecycleError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(fields)
    return error


class VnaLifecycleError(Exception):
    """Root of everything this library raises on purpose.

    ``exit_code`` is what the command line exits with. ``hint`` says what to do next, in one sentence.
    """

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors come back from worker processes with all of their fields.
        return _restore, (type(self), self.args, self.__dict__)


class ConfigurationError(VnaLifecycleError):
    """Settings that cannot be used. ``problems`` lists every one as (path in the file, message)."""

    exit_code = 2

    def __init__(self, message: str, *, problems: tuple[tuple[str, str], ...] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.problems = problems


class PluginError(ConfigurationError):
    """A plug-in that cannot be loaded, clashes with another, or registers something unusable."""


class ArchiveError(VnaLifecycleError):
    """An archive did not do what was asked.

    ``archive`` is its name in the program. ``transient`` says that the same call may succeed later; ``retry_after`` is
    the archive's own word on when, in seconds, or None.
    """

    exit_code = 3

    def __init__(
        self,
        message: str,
        *,
        archive: str = "",
        transient: bool = False,
        retry_after: float | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.archive = archive
        self.transient = transient
        self.retry_after = retry_after

    @property
    def asks_to_wait(self) -> bool:
        """Whether it answers, and asks to be left alone for a while: that is waited out, however long it lasts."""
        return self.transient and self.retry_after is not None and not isinstance(self, ArchiveUnreachable)


class ArchiveFull(ArchiveError):
    """The archive has no room left. Nothing that lacked room was acknowledged; waiting does not help, room does."""


class ArchiveUnreachable(ArchiveError):
    """The folder, host or bucket is not there."""


class ArchiveReadOnly(ArchiveError):
    """The archive refuses to be written."""


class ArchiveRefused(ArchiveError):
    """The archive answered and would not have us: who we are, what we may do, or nothing in common to speak."""


class StorageError(VnaLifecycleError):
    """The program's own directory cannot be read or written. ``path`` is the place."""

    exit_code = 4

    def __init__(self, message: str, *, path: Path | str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.path = Path(path)


class DiskFull(StorageError):
    """No space is left on the device. Nothing was acknowledged."""


class CatalogCorrupt(StorageError):
    """The catalog database is damaged. The ledger and vault are not: rebuild the catalog from an inventory."""


class SchemaTooNew(StorageError):
    """A database written by a newer version of this software."""


class IntegrityError(VnaLifecycleError):
    """Evidence does not hold."""

    exit_code = 5


class LedgerCorrupt(IntegrityError):
    """The ledger does not verify. ``sequence`` is the first bad event (0-based), or None if the whole is short."""

    def __init__(self, message: str, *, sequence: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.sequence = sequence


class LedgerReplaced(IntegrityError):
    """An older or another ledger than the one that was here. ``known`` events were seen before, ``size`` are here."""

    def __init__(self, message: str, *, known: int, size: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.known = known
        self.size = size


class VaultCorrupt(IntegrityError):
    """Stored evidence is not what was put there. ``digest`` is its address."""

    def __init__(self, message: str, *, digest: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.digest = digest


class EvidenceErased(VnaLifecycleError):
    """The key of this evidence was destroyed on purpose, so its plain text is gone. ``digest`` is its address."""

    exit_code = 5

    def __init__(self, message: str, *, digest: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.digest = digest


class LeaseHeld(VnaLifecycleError):
    """Another coordinator runs this program. ``holder`` says which process, on which host, since when."""

    exit_code = 6

    def __init__(self, message: str, *, holder: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.holder = holder


class LeaseLost(VnaLifecycleError):
    """This coordinator was fenced off by a newer one; what it tried to append was refused."""

    exit_code = 6


class UnexpectedSize(VnaLifecycleError):
    """A decision was made on an outdated view of the ledger: ``expected`` events seen, ``actual`` there now."""

    exit_code = 6

    def __init__(self, message: str, *, expected: int, actual: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.expected = expected
        self.actual = actual


class DicomRefused(VnaLifecycleError):
    """Bytes that are not a DICOM object that can be trusted.

    ``code`` is a stable kebab-case word (``truncated``, ``not-dicom``, ``too-deep``, ...), ``offset`` the byte at
    which the trouble starts, counted from the beginning of the file.
    """

    exit_code = 7

    def __init__(self, message: str, *, code: str, offset: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.offset = offset


class StateError(VnaLifecycleError):
    """The command does not fit the program's present state (no such wave, nothing planned, ...)."""

    exit_code = 8
