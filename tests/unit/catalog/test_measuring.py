"""The measures of a pass are what counting its records one by one gives."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from vna_lifecycle.catalog import Catalog
from vna_lifecycle.model.identity import SeriesUID, SOPInstanceUID, StudyUID
from vna_lifecycle.model.inventory import InstanceRecord, Refused, SeriesAttributes
from vna_lifecycle.ports import Part

RECORDS = st.builds(
    lambda study, series, uid, patient, issuer, charset, syntax, size, flags: InstanceRecord(
        locator=f"{study}/{uid}",
        sop_instance_uid=SOPInstanceUID(uid),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax=syntax,
        size=size,
        flags=flags,
        series=SeriesAttributes(
            study_uid=StudyUID(study),
            series_uid=SeriesUID(f"{study}.{series}"),
            modality="CT" if series == "1" else "",
            patient_id=patient,
            issuer_of_patient_id=issuer,
            character_set=charset,
            study_date="20200101" if series == "1" else "",
        ),
    ),
    study=st.sampled_from(["1.1", "1.2", "1.3"]),
    series=st.sampled_from("12"),
    uid=st.sampled_from(["9.1", "9.2", "9.3", "9.4"]),
    patient=st.sampled_from(["", "7"]),
    issuer=st.sampled_from(["", "H"]),
    charset=st.sampled_from(["", "ISO_IR 100"]),
    syntax=st.sampled_from(["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"]),
    size=st.one_of(st.none(), st.integers(min_value=0, max_value=1_000)),
    flags=st.sampled_from([(), ("no-meta",), ("no-meta", "vr-mismatch")]),
)


def label(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()[:12]


@settings(max_examples=60)
@given(parts=st.lists(st.lists(RECORDS, max_size=8), max_size=3), refused=st.integers(min_value=0, max_value=2))
def test_measures_are_what_counting_gives(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[InstanceRecord]], refused: int
) -> None:
    catalog = Catalog.open(tmp_path_factory.mktemp("catalog") / "catalog.db", label=label)
    bad = [Refused(locator=str(number), code="truncated", reason="short") for number in range(refused)]
    for inventory in (1, 2):  # an earlier pass is not mixed in
        catalog.begin_inventory(inventory, "old")
        for number, part in enumerate(parts):
            records = [evolve(record, locator=f"{number}/{place}") for place, record in enumerate(part)]
            catalog.record_part(inventory, Part(key=str(number)), records)
        catalog.record_part(inventory, Part(key="bad"), bad)
        catalog.complete_inventory(inventory)
    measures = catalog.measure(2)
    catalog.close()
    records = [record for part in parts for record in part]
    assert measures.totals.instances == len(records)
    assert measures.modalities == Counter(record.series.modality for record in records)
    assert measures.character_sets == Counter(record.series.character_set for record in records)
    assert measures.transfer_syntaxes == Counter(record.transfer_syntax for record in records)
    assert measures.sop_classes == Counter(record.sop_class_uid for record in records)
    assert measures.flags == Counter(flag for record in records for flag in record.flags)
    assert measures.refused == Counter({"truncated": refused} if refused else {})
    assert measures.repeated == len(records) - len({record.sop_instance_uid for record in records})
    assert measures.largest_object == max((record.size for record in records if record.size is not None), default=None)
    sizes = sorted(Counter(record.study_uid for record in records).values())
    assert measures.largest_study == max(sizes, default=0)
    assert measures.median_study == (sizes[(len(sizes) - 1) // 2] if sizes else 0)
    headers = defaultdict(set)
    for record in records:
        series = record.series
        headers[record.study_uid].add((series.patient_id, series.issuer_of_patient_id, series.study_date))
    assert measures.several_headers == sum(1 for found in headers.values() if len(found) > 1)
    for keyword, place in (("PatientID", 0), ("IssuerOfPatientID", 1), ("StudyDate", 2)):
        absent = sum(1 for found in headers.values() if any(values[place] == "" for values in found))
        assert measures.absent[keyword] == absent
