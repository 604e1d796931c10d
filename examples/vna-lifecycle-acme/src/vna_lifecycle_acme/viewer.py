"""What people at a viewer notice first: a study that opens slowly, or with fewer images than the list promised."""

from collections.abc import Iterator

from vna_lifecycle.authoring import Finding, Severity
from vna_lifecycle.ports import StudyCase
from vna_lifecycle_acme.settings import ViewerSettings


class ViewerCheck:
    """Shown sampled studies only: each was just fetched from every reader."""

    def __init__(self, settings: ViewerSettings) -> None:
        self._most = settings.max_seconds

    def examine(self, case: StudyCase) -> Iterator[Finding]:
        """A finding for each reader that promised other than it served, or took too long."""
        for served in case.retrieved:
            promised = served.listed.instance_count if served.listed else 0
            if promised is not None and promised != len(served.objects):
                yield Finding(
                    kind="acme-opens-incomplete",
                    severity=Severity.BLOCKER,
                    message=f"{served.reader} lists {promised} instances and serves {len(served.objects)}",
                    check="acme-viewer",
                    remedy="rebuild the reader's index, then accept the wave again",
                )
            if served.seconds > self._most:
                yield Finding(
                    kind="acme-opens-slowly",
                    severity=Severity.WARNING,
                    message=f"{served.reader} took more than {self._most:g} s to open the study",
                    check="acme-viewer",
                    remedy="look at the reader's cache and at the network between",
                )
