"""Lifecycle rules that reach the objects of a bucket are told when it is profiled, by a server that keeps rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from peers.s3 import Server, open_place

pytestmark = pytest.mark.peer


def rule(name: str, prefix: str, *, status: str = "Enabled", **effects: Any) -> Any:
    return {"ID": name, "Status": status, "Filter": {"Prefix": prefix}, **effects}


def test_rules_that_expire_or_archive_our_objects_are_told_and_no_others(ministack: Server, tmp_path: Path) -> None:
    bucket = ministack.bucket(versioned=True)
    rules = [
        rule("wide", "", NoncurrentVersionExpiration={"NoncurrentDays": 7}),
        rule("ours", "images/objects/", Transitions=[{"Days": 90, "StorageClass": "DEEP_ARCHIVE"}]),
        rule("short", "images/", Expiration={"Days": 30}),
        rule("cool", "images/", Transitions=[{"Days": 30, "StorageClass": "STANDARD_IA"}]),
        rule("asleep", "images/", status="Disabled", Expiration={"Days": 1}),
        rule("of others", "reports/", Expiration={"Days": 2}),
    ]
    ministack.client().put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    archive = open_place(ministack, (bucket, "images"), tmp_path)
    assert archive.probes is not None
    told = [(seen.name, seen.value) for seen in archive.probes.probe() if seen.name.startswith("lifecycle")]
    assert told[0] == ("lifecycle-rules", "4")
    assert sorted(told[1:]) == [
        ("lifecycle-archives", "rule ours: moves objects to DEEP_ARCHIVE after 90 days"),
        ("lifecycle-expires", "rule short: deletes objects, or hides them behind a marker, after 30 days"),
        ("lifecycle-expires-versions", "rule wide: deletes earlier versions after 7 days"),
    ]
    archive.reads.close()
