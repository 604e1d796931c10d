"""What the methods of `Program` and `compare` give, for scripts that name these types."""

from vna_lifecycle.catalog import FindingLine
from vna_lifecycle.engine.accept_result import Acceptance, CheckLine
from vna_lifecycle.engine.catchup import CatchUpResult
from vna_lifecycle.engine.compare import ArchiveComparison
from vna_lifecycle.engine.cutover import CutoverResult
from vna_lifecycle.engine.decide import HeldContent
from vna_lifecycle.engine.decide_acceptance import SignOffOnRecord, WaiverOnRecord
from vna_lifecycle.engine.inventory import InventoryResult
from vna_lifecycle.engine.pending import Pending
from vna_lifecycle.engine.profile import Profile
from vna_lifecycle.engine.progress import Progress
from vna_lifecycle.engine.status import SourceLine, Status, WaveLine
from vna_lifecycle.engine.transfer_result import TransferResult
from vna_lifecycle.engine.truth import TruthResult
from vna_lifecycle.engine.withdraw import WithdrawResult
from vna_lifecycle.ledger import InclusionProof, Verification
from vna_lifecycle.model.event import RecordedEvent
from vna_lifecycle.model.finding import Finding
from vna_lifecycle.model.inventory import Refused
from vna_lifecycle.model.wave import Wave, WavePlan
from vna_lifecycle.policy.cutover import CutoverDecision
from vna_lifecycle.policy.readiness import Readiness, Requirement, Standing
from vna_lifecycle.program.accepting import CheckInfo
from vna_lifecycle.program.reporting import Report

__all__ = [
    "Acceptance",
    "ArchiveComparison",
    "CatchUpResult",
    "CheckInfo",
    "CheckLine",
    "CutoverDecision",
    "CutoverResult",
    "Finding",
    "FindingLine",
    "HeldContent",
    "InclusionProof",
    "InventoryResult",
    "Pending",
    "Profile",
    "Progress",
    "Readiness",
    "RecordedEvent",
    "Refused",
    "Report",
    "Requirement",
    "SignOffOnRecord",
    "SourceLine",
    "Standing",
    "Status",
    "TransferResult",
    "TruthResult",
    "Verification",
    "WaiverOnRecord",
    "Wave",
    "WaveLine",
    "WavePlan",
    "WithdrawResult",
]
