"""What the fake can be told to do wrong, and the quotas that it keeps to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import define, field, frozen

from vna_lifecycle.testing.healthimaging.trouble import ServiceError

WARNINGS: Final[Mapping[str, tuple[str, str]]] = {
    "COERCION_OF_DATA_ELEMENTS": ("45056", "Data elements were coerced"),
    "ELEMENTS_DISCARDED": ("45062", "Data elements were discarded"),
    "SOP_CLASS_DATA_MISMATCH": ("45063", "The data set does not match its SOP class"),
    "TRANSCODING_EXCEPTION": ("", "The frames could not be transcoded and are stored as they came"),
    "FRAMES_EXTRACTION_FAILURE": ("", "The frames could not be extracted"),
    "FRAME_NUMBER_MISMATCH": ("", "The number of frames differs from Number of Frames"),
    "INVALID_OFFSET_TABLE": ("", "The offset table is invalid"),
    "UNSUPPORTED_TRANSFER_SYNTAX": ("", "The transfer syntax is not supported for transcoding"),
    "INVALID_UID_FORMAT": ("", "A UID is not well formed"),
    "INVALID_DICOM_VALUE_LENGTH": ("", "A value is longer than its VR allows"),
    "OTHER": ("", "Something else"),
}
"""Types of warnings with their code and text; the service itself prints codes that disagree, so the type counts."""


@frozen(kw_only=True)
class Quotas:
    """Limits of an account. The defaults are those of AWS; ``rates`` are calls per second by operation.

    ``file_bytes`` is the largest file, ``folders`` how many nested folders a job may meet, ``jobs`` how many may be
    under way. An operation that ``rates`` does not name is not throttled, so by default nothing is.
    """

    files: int = 5_000
    job_bytes: int = 10 * 10**9
    folders: int = 10_000
    file_bytes: int = 4 * 10**9
    jobs: int = 100
    rates: Mapping[str, float] = field(factory=dict)


AWS_RATES: Final[Mapping[str, float]] = {
    "StartDICOMImportJob": 0.25,
    "UpdateImageSetMetadata": 0.25,
    "CopyImageSet": 0.25,
    "DeleteImageSet": 0.25,
    "GetDICOMImportJob": 25.0,
    "ListDICOMImportJobs": 10.0,
    "SearchImageSets": 25.0,
    "GetImageSet": 25.0,
    "GetImageSetMetadata": 50.0,
    "ListImageSetVersions": 25.0,
}
"""As slow as AWS throttles where it throttles most (calls per second)."""


@define(kw_only=True)
class Faults:
    """What goes wrong from now on; change the fields at any time. Files are named by their SOP Instance UID.

    ``throttle`` is how many more calls of an operation are throttled (-1: all). ``deny`` are operations that the
    credentials may not call. ``expired`` lets every call find the session token expired. ``lag`` is how many seconds
    after COMPLETED the result files appear. ``warn`` gives files a warning of a type, known or not; ``fail`` an
    exception type instead of an import; ``conflict`` files come into a non-primary image set whatever their metadata;
    ``lose`` files are imported or not (as ``lose`` says) but named in no result. ``fail_jobs`` is how many more jobs
    end as FAILED. ``truncate`` cuts that many bytes off the end of each ndjson file; ``garble`` spoils its last line.
    """

    throttle: dict[str, int] = field(factory=dict)
    deny: set[str] = field(factory=set)
    expired: bool = False
    lag: float = 0.0
    warn: dict[str, str] = field(factory=dict)
    fail: dict[str, str] = field(factory=dict)
    conflict: set[str] = field(factory=set)
    lose: dict[str, bool] = field(factory=dict)
    fail_jobs: int = 0
    truncate: int = 0
    garble: bool = False

    def strike(self, operation: str) -> None:
        """Raise what this call of an operation meets.

        Raises:
            ServiceError: the call fails.
        """
        if self.expired:
            raise ServiceError("ExpiredTokenException", "The security token included in the request is expired", 403)
        if operation in self.deny:
            raise ServiceError("AccessDeniedException", f"not authorized to perform medical-imaging:{operation}")
        left = self.throttle.get(operation, 0)
        if left:
            self.throttle[operation] = left - 1 if left > 0 else left
            raise ServiceError("ThrottlingException", "Rate exceeded")


@define
class Rates:
    """How often each operation may still be called now: a bucket that refills with time and holds a second's calls."""

    limits: Mapping[str, float]
    _left: dict[str, tuple[float, float]] = field(factory=dict, init=False)

    def take(self, operation: str, now: float) -> None:
        """Count a call at ``now`` seconds.

        Raises:
            ServiceError: the rate is exceeded.
        """
        limit = self.limits.get(operation)
        if limit is None:
            return
        most = max(1.0, limit)
        left, since = self._left.get(operation, (most, now))
        left = min(most, left + (now - since) * limit)
        if left < 1.0:
            self._left[operation] = left, now
            raise ServiceError("ThrottlingException", "Rate exceeded")
        self._left[operation] = left - 1.0, now
