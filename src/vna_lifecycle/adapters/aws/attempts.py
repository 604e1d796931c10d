"""Trying a call again for a short while. What lasts longer is the program's to put off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import stamina
from attrs import frozen
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from vna_lifecycle.adapters.aws.trouble import archive_error, code_of, is_passing, retry_after, status_of
from vna_lifecycle.errors import ArchiveError

_SECONDS: Final = 30.0
_LONGEST_WAIT: Final = 8.0
_T = TypeVar("_T")


@frozen(kw_only=True)
class Attempts:
    """Calls on behalf of one archive: tried ``limit`` times, within half a minute, then told as what they mean.

    ``archive``, ``place``, ``service`` and ``owner`` are as in `trouble.archive_error`.
    """

    archive: str
    place: str
    service: str = "s3"
    owner: str = ""
    limit: int = 5

    def __call__(self, call: Callable[[], _T], *, expected: tuple[str, ...] = ()) -> _T:
        """What ``call`` returns; it must be possible to make it again.

        Raises:
            ClientError: with one of the codes, or HTTP statuses, that are ``expected``.
            ArchiveError: any other failure.
        """
        try:
            for attempt in stamina.retry_context(
                on=_worth_another, attempts=self.limit, timeout=_SECONDS, wait_max=_LONGEST_WAIT
            ):
                with attempt:
                    return call()
        except ClientError as error:
            if code_of(error) in expected or str(status_of(error)) in expected:
                raise
            raise self.error(error) from None
        except (BotoCoreError, HTTPError) as error:
            raise self.error(error) from None
        raise AssertionError("the last attempt returns or raises")  # pragma: no cover

    def error(self, error: Exception) -> ArchiveError:
        """The error of the archive that ``error`` means."""
        return archive_error(error, archive=self.archive, place=self.place, service=self.service, owner=self.owner)


def _worth_another(error: Exception) -> bool | float:
    """Whether to try again, and how long to wait if the server says so."""
    if not is_passing(error):
        return False
    wait = retry_after(error)
    return True if wait is None else wait if wait <= _LONGEST_WAIT else False
