"""Handing out the files that locators name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vna_lifecycle.adapters.files.tree import Tree
from vna_lifecycle.model.inventory import InstanceRecord
from vna_lifecycle.ports import Fetched, FetchFailure


def fetch_files(tree: Tree, wanted: Iterable[InstanceRecord]) -> Iterator[Fetched | FetchFailure]:
    """Each wanted instance as the file in place, or why it cannot be had.

    Raises:
        ArchiveUnreachable: the root went away.
    """
    tree.check()
    seen = set[bytes]()
    for record in wanted:
        try:
            place = tree.find(record.locator, seen)
        except FileNotFoundError:
            tree.check()
            yield FetchFailure(record=record, code="missing-file", message="there is no file at this locator any more")
        except ValueError as error:
            yield FetchFailure(record=record, code="bad-locator", message=str(error))
        except OSError as error:
            tree.check()
            yield FetchFailure(record=record, code="unreadable-file", message=error.strerror or "it cannot be read")
        else:
            if record.size is not None and record.size != place.size:
                message = "the file has another size than when it was listed; take a new inventory"
                yield FetchFailure(record=record, code="changed-since-listed", message=message)
            else:
                yield Fetched(record=record, path=place.path)
