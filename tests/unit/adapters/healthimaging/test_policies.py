"""The documented policies are well formed, name actions that exist, and keep deleting apart from importing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import botocore.session

DOCS = Path(__file__).parents[4] / "docs" / "how-to"
POLICY = re.compile(r"<!-- policy: ([a-z ]+) -->\n\n```json\n(.*?)```", re.DOTALL)
BEYOND_THE_MODEL = {  # of DICOMweb, of S3 where the action is named otherwise than the operation, and of IAM
    "medical-imaging:GetDICOMInstance",
    "s3:ListBucket",
    "s3:ListBucketVersions",
    "s3:ListBucketMultipartUploads",
    "s3:DeleteObjectVersion",
    "iam:PassRole",
}


def policies() -> dict[str, list[dict[str, Any]]]:
    pages = [(DOCS / name).read_text() for name in ("into-aws-healthimaging.md", "out-of-healthimaging.md")]
    return {name: json.loads(text)["Statement"] for page in pages for name, text in POLICY.findall(page)}


def actions(name: str) -> set[str]:
    return {action for statement in policies()[name] for action in statement["Action"]}


def test_every_policy_is_well_formed() -> None:
    assert sorted(policies()) == ["erasure", "events", "job role", "migration", "reading", "remedy", "withdrawal"]
    for statements in policies().values():
        for statement in statements:
            assert statement.keys() - {"Condition"} == {"Sid", "Effect", "Action", "Resource"}
            assert re.fullmatch(r"[A-Za-z0-9]+", statement["Sid"])
            assert statement["Effect"] == "Allow"
            assert all(resource.startswith("arn:aws:") and resource != "*" for resource in statement["Resource"])


def test_every_action_exists_and_none_is_a_wild_card() -> None:
    session = botocore.session.get_session()
    known = set(BEYOND_THE_MODEL)
    for service in ("medical-imaging", "s3", "sqs"):
        known |= {f"{service}:{name}" for name in session.get_service_model(service).operation_names}
    assert {action for name in policies() for action in actions(name)} <= known


def test_who_imports_can_neither_delete_nor_change_an_image_set() -> None:
    forbidden = {f"medical-imaging:{name}" for name in ("DeleteImageSet", "UpdateImageSetMetadata", "CopyImageSet")}
    assert not actions("migration") & forbidden
    assert not actions("reading") & forbidden
    assert not any(action.startswith("medical-imaging:") for action in actions("job role"))
    assert "medical-imaging:DeleteImageSet" in actions("erasure") & actions("withdrawal")


def test_who_corrects_may_call_what_corrections_call_and_nothing_more() -> None:
    """Reading is the migration's policy, which goes with it."""
    used = {"UpdateImageSetMetadata", "CopyImageSet", "DeleteImageSet"}
    assert actions("remedy") == {f"medical-imaging:{name}" for name in used}
    assert "medical-imaging:GetImageSet" in actions("migration")
