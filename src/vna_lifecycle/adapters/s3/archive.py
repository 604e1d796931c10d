"""Opening a bucket as an archive. Whether it is a store is looked up at each call: the first object makes it one."""

from __future__ import annotations

from vna_lifecycle.adapters.s3.bucket import Bucket
from vna_lifecycle.adapters.s3.erases import Erasure
from vna_lifecycle.adapters.s3.holdings import Holdings
from vna_lifecycle.adapters.s3.holds import Locking
from vna_lifecycle.adapters.s3.probes import Probing
from vna_lifecycle.adapters.s3.reading import Reader
from vna_lifecycle.adapters.s3.remembered import Remembered
from vna_lifecycle.adapters.s3.settings import S3Settings
from vna_lifecycle.adapters.s3.store import Store
from vna_lifecycle.adapters.s3.tiers import Tiering
from vna_lifecycle.adapters.s3.withdraw import Withdrawal
from vna_lifecycle.ports import Archive, Site


def open_archive(settings: S3Settings, site: Site) -> Archive:
    """Open a bucket, which is not written to before the first object is stored.

    Raises:
        ArchiveUnreachable: it is not there, or nobody answers.
        ArchiveRefused: wrong region, wrong owner, wrong credentials, or no permission to list it.
        ArchiveError: it holds a store of another version.
    """
    bucket = Bucket(settings, site)
    try:
        bucket.check()
        holdings = Holdings(bucket)
        holdings.is_store()  # a store that cannot be read is told now, not in the middle of a wave
    except BaseException:
        bucket.close()
        raise
    remembered = Remembered(site.workspace / "remembered.sqlite")
    tiering = Tiering(bucket)
    return Archive(
        reads=Reader(holdings, remembered),
        stores=Store(holdings),
        probes=Probing(holdings),
        withdraws=Withdrawal(holdings),
        tiers=tiering,
        recalls=tiering,
        holds=Locking(bucket),
        erases=Erasure(holdings, remembered),
    )
