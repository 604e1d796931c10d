"""The ledger: an append-only record of decisions and outcomes, as a signed Merkle log. No patient data."""

from vna_lifecycle.ledger.checkpoint import (
    Checkpoint,
    generate_key,
    load_key,
    public_key_text,
    sign_checkpoint,
    verify_checkpoint,
)
from vna_lifecycle.ledger.lease import Lease
from vna_lifecycle.ledger.proof import ConsistencyProof, InclusionProof
from vna_lifecycle.ledger.store import Draft, Ledger
from vna_lifecycle.ledger.tables import Head
from vna_lifecycle.ledger.verification import Verification

__all__ = [
    "Checkpoint",
    "ConsistencyProof",
    "Draft",
    "Head",
    "InclusionProof",
    "Lease",
    "Ledger",
    "Verification",
    "generate_key",
    "load_key",
    "public_key_text",
    "sign_checkpoint",
    "verify_checkpoint",
]
