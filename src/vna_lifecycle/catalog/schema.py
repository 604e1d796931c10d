"""Tables of the catalog: what was found, what follows from it, and the projection of the ledger.

What was found is stored once. A *header* is a distinct combination of patient and study attributes, a *variant* a
header with series attributes, a *shape* what many instances have in common; instances are narrow rows that point to
them, clustered by part and variant, so that recording a part appends and forgetting it deletes one range. Counts per
part and variant (``holding``) are written with the part: nothing but an object's own lookup ever touches the instance
rows.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, MetaData, Table, Text, UniqueConstraint

METADATA: Final = MetaData()
VERSION: Final = 1


def _table(name: str, *columns: Column[Any] | Index | UniqueConstraint, clustered: bool = False) -> Table:
    return Table(name, METADATA, *columns, sqlite_with_rowid=not clustered)


def _key(name: str) -> Column[Any]:
    return Column(name, Integer, primary_key=True, autoincrement=False)


def _id() -> Column[Any]:
    return Column("id", Integer, primary_key=True)


def _number(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, Integer, nullable=nullable)


def _count(name: str) -> Column[Any]:
    return Column(name, Integer, nullable=False, default=0, server_default="0")


def _text(name: str, *, unique: bool = False) -> Column[Any]:
    return Column(name, Text, nullable=False, unique=unique)


def _word(name: str) -> Column[Any]:
    return Column(name, Text, nullable=False, default="", server_default="")


def _digest() -> Column[Any]:
    return Column("digest", LargeBinary, nullable=False, unique=True)


meta = _table("meta", Column("name", Text, primary_key=True), _number("value"), clustered=True)

fold = _table("fold", _key("id"), _number("size"), _text("root"))  # one row: how far the ledger is folded, and which

# ------------------------------------------------------------------------------------------------ what was found

inventory = _table(
    "inventory",
    _key("number"),
    _text("archive"),
    Column("complete", Boolean, nullable=False, default=False),
    *map(_count, ("parts", "studies", "instances", "refused", "size")),
)
part = _table(
    "part",
    _id(),
    _number("inventory"),
    _text("key"),
    *map(_count, ("instances", "refused", "size", "studies")),
    _word("content_sha256"),
    UniqueConstraint("inventory", "key"),
)
study = _table("study", _id(), _text("uid", unique=True), _text("label", unique=True))
patient = _table("patient", _id(), _text("issuer"), _text("patient_id"), UniqueConstraint("issuer", "patient_id"))
HEADER_TEXTS: Final = (
    "patient_name",
    "patient_birth_date",
    "patient_sex",
    "study_id",
    "study_date",
    "study_time",
    "accession_number",
    "issuer_of_accession_number",
    "study_description",
    "procedure_code",
)
header = _table(
    "header",
    _id(),
    _digest(),
    _number("study"),
    _number("patient"),
    *map(_text, HEADER_TEXTS),
    Column("day", Text),  # YYYYMMDD, or NULL where the Study Date is absent or no valid DA
    _text("clock"),  # HHMMSS and fraction, or "" where the Study Time is absent or no valid TM
    _text("description_key"),  # case-folded by Unicode's rules, which SQLite's own functions do not know
)
SERIES_TEXTS: Final = (
    "series_uid",
    "series_number",
    "modality",
    "series_description",
    "body_part",
    "laterality",
    "character_set",
)
variant = _table("variant", _id(), _digest(), _number("study"), _number("header"), *map(_text, SERIES_TEXTS))
shape = _table(
    "shape",
    _id(),
    _digest(),
    _text("sop_class_uid"),
    _text("transfer_syntax"),
    *(_number(name, nullable=True) for name in ("rows", "columns", "frames")),
    _number("availability"),
    _text("flags"),
)
instance = _table(
    "instance",
    *map(_key, ("part", "variant", "position")),
    _number("shape"),
    _text("locator"),
    _text("sop_instance_uid"),
    _number("size", nullable=True),
    _number("instance_number", nullable=True),
    clustered=True,
)
HOLDING_COUNTS: Final = ("instances", "repeats", "size", "unsized", "availability", "fingerprint")
holding = _table(
    "holding",
    *map(_key, ("inventory", "part", "variant")),
    *map(_count, HOLDING_COUNTS),  # a holding of 0 instances is a claim about a study's modality, not a series
    Index("holding_by_variant", "variant"),
    clustered=True,
)
claim = _table(
    "claim",
    *map(_key, ("inventory", "part", "position")),
    _number("study"),
    _number("header"),
    _text("modalities"),
    *(_number(name, nullable=True) for name in ("series_count", "instance_count", "size")),
    _number("availability"),
    _number("basis"),
    Index("claim_by_study", "study"),
    clustered=True,
)
refused = _table(
    "refused",
    *map(_key, ("part", "position")),
    *map(_text, ("locator", "code", "reason")),
    _number("offset"),
    _number("size", nullable=True),
    clustered=True,
)

# ------------------------------------------------------------------------------------------------ what follows

source = _table("source", _key("rank"), _text("archive"), _number("inventory"))
current = _table(
    "current",
    *map(_key, ("study", "source", "variant")),
    _number("header"),
    *map(_count, ("instances", "repeats", "size", "unsized", "availability", "first_part", "last_part")),
    clustered=True,
)
summary = _table(
    "summary",
    _key("study"),
    _number("header"),
    _number("unit"),  # a patient's id, or minus the study's where no single patient is stated
    _text("label"),  # the study's, here too: every order ends with it
    Column("day", Text),
    _word("clock"),
    *map(_count, ("series", "size", "unsized", "availability", "headers", "patients", "basis")),
    _number("instances", nullable=True),
    _number("claimed", nullable=True),
    _word("modalities"),
    _word("sources"),
)
pick = _table("pick", _key("list"), Column("value", Text, primary_key=True), clustered=True)
draft = _table(
    "draft",
    _key("study"),
    _number("unit"),
    *map(_count, ("instances", "size", "unsized")),
    _number("place", nullable=True),
)
place = _table("place", _key("id"), Column("excluded", Boolean, nullable=False), _text("name"))
match = _table("match", _key("study"), _number("unit"), _number("position"))
taken = _table("taken", _key("unit"))

# ------------------------------------------------------------------------------------------------ the ledger, folded

MIGRATION_TEXTS: Final = (
    "rung",
    "manifest_ref",
    "present_ref",
    "expected_ref",
    "read_back_ref",
    "token",
    "phase",
    "code",
    "retry_at",
)
MIGRATION_COUNTS: Final = ("attempt", "instances", "size", "matched", "missing", "differ", "extra", "held", "refused")
migration = _table(
    "migration",
    Column("label", Text, primary_key=True),
    _text("study_uid"),
    _word("wave"),
    _count("plan"),
    _text("state"),
    _word("reason"),
    *map(_count, MIGRATION_COUNTS),
    _count("transient"),
    *map(_word, MIGRATION_TEXTS),
    Index("migration_by_wave", "wave", "state", "label"),
    clustered=True,
)
progress = _table(
    "progress",
    *(Column(name, Text, primary_key=True) for name in ("wave", "state")),
    *map(_count, ("studies", "instances", "size")),
    clustered=True,
)
member = _table("member", Column("label", Text, primary_key=True), _text("study_uid"), clustered=True)
wave = _table(
    "wave",
    Column("name", Text, primary_key=True),
    _key("plan"),
    _number("sequence"),
    *map(_count, ("studies", "instances", "size")),
    *map(_word, ("members_ref", "policy_sha256", "modification_time", "outcome")),
    clustered=True,
)
pause = _table("pause", Column("wave", Text, primary_key=True), *map(_text, ("by", "reason")), _number("sequence"))
finding = _table(
    "finding",
    _key("sequence"),
    *map(_text, ("kind", "severity", "check", "study", "wave")),
    _number("subjects"),
    _text("evidence_ref"),
    _text("origin"),
    _number("settled", nullable=True),  # the sequence of the event that settled it; NULL while it is open
    Index("finding_by_wave", "wave"),
    Index("finding_by_study", "study"),
    Index("finding_by_evidence", "evidence_ref"),
)
attempt = _table(
    "attempt",
    Column("wave", Text, primary_key=True),
    _key("attempt"),
    _number("sequence"),
    *map(_text, ("time", "seed", "confidence", "max_defect_rate", "population_ref", "policy_sha256")),
    *map(_count, ("population", "size", "sampled", "defective", "blockers", "warnings")),
    *map(_word, ("outcome", "checks", "not_assessed", "result_ref")),
    clustered=True,
)
moved = _table("moved", Column("wave", Text, primary_key=True), _number("sequence"), clustered=True)
DECIDED: Final = ("by", "role", "expires", "key", "statement", "signature")
waiver = _table(
    "waiver",
    Column("waiver", Text, primary_key=True),
    _number("sequence"),
    *map(_text, ("time", "wave", "finding", "covers_ref", "reason", *DECIDED)),
    _number("findings"),
    *map(_word, ("withdrawn", "withdrawn_by", "withdrawn_reason")),
)
covered = _table(
    "covered",
    *(Column(name, Text, primary_key=True) for name in ("evidence_ref", "waiver")),
    clustered=True,
)
sign_off = _table(
    "sign_off",
    _key("sequence"),
    *map(_text, ("time", "wave", "meaning", *DECIDED)),
    _number("attempt"),
)
cutover = _table(
    "cutover",
    _key("sequence"),
    *map(_text, ("time", "by", "reason", "gate_ref")),
    Column("allowed", Boolean, nullable=False),
    _number("reasons"),
)
truth = _table(
    "truth",
    Column("archive", Text, primary_key=True),
    _number("sequence"),
    _text("time"),
    *map(_count, ("studies", "deleted", "hidden", "unusable")),
    _text("extract_sha256"),
)
profile = _table(
    "profile",
    Column("archive", Text, primary_key=True),
    _number("sequence"),
    _text("time"),
    _number("observations"),
    _text("profile_ref"),
)
CAUGHT_UP: Final = ("inventory", "added", "changed", "vanished", "refetched", "sampled", "differing")
catch_up = _table(
    "catch_up",
    Column("archive", Text, primary_key=True),
    _number("sequence"),
    _text("time"),
    *map(_count, (*CAUGHT_UP, "equal")),  # so many comparisons in a row found nothing new
)
choice = _table(
    "choice",
    *(Column(name, Text, primary_key=True) for name in ("study", "instance")),
    _text("content"),
    clustered=True,
)
BATCH_COUNTS: Final = (
    "studies",
    "instances",
    "size",
    "stored",
    "already_present",
    "refused",
    "unaccounted",
    "warnings",
)
batch = _table(
    "batch",
    Column("batch", Text, primary_key=True),
    _number("sequence"),
    *map(_text, ("wave", "state", "opened")),
    *map(_count, BATCH_COUNTS),
    *map(_word, ("ended", "job", "members_ref", "results_ref")),
    clustered=True,
)
recorded_inventory = _table(
    "recorded_inventory",
    _key("number"),
    _text("archive"),
    Column("complete", Boolean, nullable=False, default=False),
    *map(_count, ("parts", "studies", "instances", "refused", "size")),
)

PROJECTED: Final = (
    fold,
    migration,
    progress,
    wave,
    pause,
    finding,
    attempt,
    moved,
    waiver,
    covered,
    sign_off,
    cutover,
    truth,
    profile,
    catch_up,
    choice,
    batch,
    recorded_inventory,
)
