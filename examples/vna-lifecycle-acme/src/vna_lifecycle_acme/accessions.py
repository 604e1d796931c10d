"""The vendor numbered accessions per department, so one number may stand for two patients after departments merge."""

from collections.abc import Iterator

from vna_lifecycle.authoring import Finding, Severity
from vna_lifecycle.ports import StudyFacts, WaveCase
from vna_lifecycle_acme.settings import AccessionSettings


class AccessionCheck:
    """Shown the wave as a whole. Runs before the transfer too, where its blockers hold studies back."""

    def __init__(self, settings: AccessionSettings) -> None:
        self._ignored = frozenset(settings.ignored)

    def examine(self, case: WaveCase) -> Iterator[Finding]:
        """A finding for every study whose Accession Number another patient's study has, too."""
        first: dict[tuple[str, str], StudyFacts] = {}
        for study in case.studies():
            if not study.accession_number or study.accession_number in self._ignored:
                continue
            number = (study.issuer_of_accession_number, study.accession_number)
            other = first.setdefault(number, study)
            if other.patient != study.patient:
                yield Finding(
                    kind="acme-accession-shared",
                    severity=Severity.BLOCKER,
                    message="another patient's study has this study's Accession Number",
                    check="acme-accessions",
                    study=study.study,
                    subjects=(other.study.study_uid,),
                    remedy="state the department as issuer of the Accession Number, by a rule",
                )
