"""The suites that every adapter passes, built in or not: subclass one in a test module, and give it an archive.

::

    class TestAcmeAsSource(SourceSuite):
        def open_source(self, folder, objects):
            return open_acme(AcmeSettings(...), site(folder))
"""

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{suite}"
        for suite in ("batches", "case", "commitment", "governing", "ledger", "source", "store", "withdraw")
    )
)  # before they are imported: a failed assertion shall show its values

from vna_lifecycle.testing.conformance.batches import BatchImporterSuite  # noqa: E402 - see above
from vna_lifecycle.testing.conformance.case import EXAMPLES, FolderSpool, site  # noqa: E402 - see above
from vna_lifecycle.testing.conformance.commitment import CommitmentSuite  # noqa: E402 - see above
from vna_lifecycle.testing.conformance.governing import (  # noqa: E402 - see above
    ErasesSuite,
    HoldsSuite,
    RecallsSuite,
    TiersSuite,
)
from vna_lifecycle.testing.conformance.ledger import LedgerSuite  # noqa: E402 - see above
from vna_lifecycle.testing.conformance.source import SourceSuite  # noqa: E402 - see above
from vna_lifecycle.testing.conformance.store import StoreSuite  # noqa: E402 - see above
from vna_lifecycle.testing.conformance.withdraw import WithdrawSuite  # noqa: E402 - see above

__all__ = [
    "EXAMPLES",
    "BatchImporterSuite",
    "CommitmentSuite",
    "ErasesSuite",
    "FolderSpool",
    "HoldsSuite",
    "LedgerSuite",
    "RecallsSuite",
    "SourceSuite",
    "StoreSuite",
    "TiersSuite",
    "WithdrawSuite",
    "site",
]
