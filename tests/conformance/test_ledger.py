"""SQLite passes the suite for ledgers, signed and unsigned."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vna_lifecycle.ledger import Ledger
from vna_lifecycle.testing.conformance import LedgerSuite

_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def _now() -> dt.datetime:
    return dt.datetime(2025, 1, 1, tzinfo=dt.UTC)


class TestSQLite(LedgerSuite):
    key: Ed25519PrivateKey | None = None

    def open_ledger(self, folder: Path) -> Ledger:
        path = folder / "ledger.sqlite"
        if path.exists():
            return Ledger.open(path, clock=_now, signing_key=self.key)
        return Ledger.create(path, origin="example", clock=_now, signing_key=self.key)


class TestSignedSQLite(TestSQLite):
    key = _KEY
