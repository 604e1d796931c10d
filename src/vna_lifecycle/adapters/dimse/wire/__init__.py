"""The DICOM upper layer and DIMSE, as a synchronous loop over a socket (PS3.7, PS3.8).

Objects stream from file to socket and from socket to file in flat memory; their data sets are never decoded, so that
what was sent is what arrives. Everything else is small and is read whole, within limits.

`request` opens an `Association`; `echo`, `find`, `move`, `get`, `store` and `ask_commitment` use one, one operation
after the other. A `Receiver` is the other side: it listens, takes objects, and hands them to a `Sink`.
"""

from vna_lifecycle.adapters.dimse.wire.acceptance import Admission
from vna_lifecycle.adapters.dimse.wire.arrival import Arrival, Offer, Sink
from vna_lifecycle.adapters.dimse.wire.association import Association, request
from vna_lifecycle.adapters.dimse.wire.commitment import (
    COMMITMENT_PUSH,
    CommitmentReport,
    Reference,
    ask_commitment,
    await_report,
)
from vna_lifecycle.adapters.dimse.wire.identifier import UNCOMPRESSED, Elements, Identifier, Keys
from vna_lifecycle.adapters.dimse.wire.peer import Accepted, Context, Peer, RefusedContext, Timeouts
from vna_lifecycle.adapters.dimse.wire.query import PATIENT_ROOT_FIND, STUDY_ROOT_FIND, VERIFICATION, echo, find
from vna_lifecycle.adapters.dimse.wire.receiver import Receiver
from vna_lifecycle.adapters.dimse.wire.retrieving import (
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    Progress,
    get,
    move,
)
from vna_lifecycle.adapters.dimse.wire.serving import Limits, Service
from vna_lifecycle.adapters.dimse.wire.storing import NotSent, Originator, Outgoing, StoreAnswer, store

__all__ = [
    "COMMITMENT_PUSH",
    "PATIENT_ROOT_FIND",
    "PATIENT_ROOT_GET",
    "PATIENT_ROOT_MOVE",
    "STUDY_ROOT_FIND",
    "STUDY_ROOT_GET",
    "STUDY_ROOT_MOVE",
    "UNCOMPRESSED",
    "VERIFICATION",
    "Accepted",
    "Admission",
    "Arrival",
    "Association",
    "CommitmentReport",
    "Context",
    "Elements",
    "Identifier",
    "Keys",
    "Limits",
    "NotSent",
    "Offer",
    "Originator",
    "Outgoing",
    "Peer",
    "Progress",
    "Receiver",
    "Reference",
    "RefusedContext",
    "Service",
    "Sink",
    "StoreAnswer",
    "Timeouts",
    "ask_commitment",
    "await_report",
    "echo",
    "find",
    "get",
    "move",
    "request",
    "store",
]
