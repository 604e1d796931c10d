"""Comparing what should be at the target with what was read back, as sets of SOP Instance UIDs."""

from __future__ import annotations

from attrs import frozen

from vna_lifecycle.dicom.compare import compare_entries
from vna_lifecycle.dicom.decoded import comparable_decoded
from vna_lifecycle.model.encoding import EncodingClass
from vna_lifecycle.model.identity import SOPInstanceUID
from vna_lifecycle.model.inventory import Manifest, ManifestEntry, Rung


@frozen(kw_only=True)
class ReadBack:
    """What an independent read of a study gave.

    ``extra`` are instances that the archive lists in the study beyond those expected, ``unreadable`` those it lists
    but does not serve, as (UID, code, transient). ``re_encoded`` are those that are the same but for their encoding,
    with the classes of difference as far as these can be told. ``cancelled``: the read was broken off and says nothing.
    """

    manifest: Manifest
    extra: tuple[SOPInstanceUID, ...] = ()
    unreadable: tuple[tuple[SOPInstanceUID, str, bool], ...] = ()
    re_encoded: tuple[tuple[SOPInstanceUID, tuple[EncodingClass, ...]], ...] = ()
    cancelled: bool = False


@frozen(kw_only=True)
class Reconciliation:
    """Two manifests compared as sets. Everything that was expected is in exactly one of the first four.

    ``below`` are instances that are the same only at a weaker rung than required; ``undecided`` those that were
    re-encoded without loss and could not be decoded, so that nobody knows; both are also in ``differ``.
    ``re_encoded`` is as in `ReadBack`. ``indeterminate`` are those that could not be read for now. ``rung`` is the
    weakest rung among the matches, None when there are none.
    """

    match: tuple[SOPInstanceUID, ...]
    differ: tuple[SOPInstanceUID, ...]
    missing: tuple[SOPInstanceUID, ...]
    indeterminate: tuple[SOPInstanceUID, ...]
    extra: tuple[SOPInstanceUID, ...]
    below: tuple[SOPInstanceUID, ...]
    undecided: tuple[SOPInstanceUID, ...]
    re_encoded: tuple[tuple[SOPInstanceUID, tuple[EncodingClass, ...]], ...]
    rung: Rung | None

    @property
    def complete(self) -> bool:
        """Whether every expected instance is proved to be there at the required rung."""
        return not (self.differ or self.missing or self.indeterminate)


def reconcile(expected: Manifest, seen: ReadBack, *, required: Rung) -> Reconciliation:
    """Compare, instance by instance, at the rung that this archive is held to.

    Of several contents under one UID the worst decides: readers may be shown any of them.
    """
    found: dict[SOPInstanceUID, list[ManifestEntry]] = {}
    for one in seen.manifest.entries:
        found.setdefault(one.sop_instance_uid, []).append(one)
    unreadable = {uid: transient for uid, _, transient in seen.unreadable}
    match, differ, missing, indeterminate, below, undecided = [], [], [], [], [], []
    weakest: Rung | None = None
    for entry in expected.entries:
        uid = entry.sop_instance_uid
        if uid in found:
            rung, worst = min(((compare_entries(entry, one), one) for one in found[uid]), key=lambda pair: pair[0])
            if rung >= required:
                match.append(uid)
                weakest = rung if weakest is None else min(weakest, rung)
            else:
                differ.append(uid)
                if rung is Rung.EQUIVALENT:
                    below.append(uid)
                elif required <= Rung.EQUIVALENT and _undecided(entry, worst):
                    undecided.append(uid)
        elif unreadable.get(uid):
            indeterminate.append(uid)
        elif uid in unreadable:
            differ.append(uid)  # it is there, and is not a DICOM object any more
        else:
            missing.append(uid)
    return Reconciliation(
        match=tuple(match),
        differ=tuple(differ),
        missing=tuple(missing),
        indeterminate=tuple(indeterminate),
        extra=seen.extra,
        below=tuple(below),
        undecided=tuple(undecided),
        re_encoded=seen.re_encoded,
        rung=weakest,
    )


def _undecided(one: ManifestEntry, other: ManifestEntry) -> bool:
    a, b = one.digest, other.digest
    lossless = comparable_decoded(one.transfer_syntax, other.transfer_syntax)
    return lossless and bool(a.pixel_sha256 and b.pixel_sha256) and not (a.decoded_sha256 and b.decoded_sha256)
