"""Hostile bytes: each is refused by name or read, within two seconds and 256 MiB, whatever it claims."""

from __future__ import annotations

import json
import os
import random
import socket
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from vna_lifecycle.dicom.digest import examine_file
from vna_lifecycle.dicom.limits import LIMITS, REASONS, Limits
from vna_lifecycle.dicom.scan import scan_bytes, scan_file
from vna_lifecycle.errors import DicomRefused

EXPLICIT, IMPLICIT, BIG, DEFLATED = (
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
)
ITEM, ITEM_END, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0" + bytes(4), b"\xfe\xff\xdd\xe0" + bytes(4)
FOREVER = b"\xff\xff\xff\xff"


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
        return head + struct.pack("<HL", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def ui(tag: int, text: str) -> bytes:
    return element(tag, b"UI", text.encode() + b"\0" * (len(text) % 2))


IDENTITY = (
    ui(0x00080016, "1.2.840.10008.5.1.4.1.1.66") + ui(0x00080018, "1.2.3.4")
    + ui(0x0020000D, "1.2.3") + ui(0x0020000E, "1.2.3.3")
)  # fmt: skip


def part10(body: bytes, syntax: str = EXPLICIT, preamble: bytes = bytes(128)) -> bytes:
    meta = ui(0x00020010, syntax)
    return preamble + b"DICM" + element(0x00020000, b"UL", struct.pack("<L", len(meta))) + meta + body


def _sequence(depth: int, *, defined: bool) -> bytes:
    inner = b""
    for _ in range(depth):
        if defined:
            inner = element(0x0040A730, b"SQ", ITEM + struct.pack("<L", len(inner)) + inner)
        else:
            opened = struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + ITEM + FOREVER
            inner = opened + inner + ITEM_END + SEQUENCE_END
    return inner


def _implicit_nest(depth: int) -> bytes:
    inner = b""
    for _ in range(depth):
        inner = struct.pack("<HHL", 0x0041, 0x1010, len(inner) + 8) + ITEM + struct.pack("<L", len(inner)) + inner
    return inner


def _bomb() -> bytes:
    deflater = zlib.compressobj(9, wbits=-15)
    deflater.compress(b"")
    mebibyte = deflater.compress(bytes(1 << 20)) + deflater.flush(zlib.Z_FULL_FLUSH)  # may be repeated
    return part10(mebibyte * 1024 + deflater.flush(), DEFLATED)


def _hostile(name: str) -> bytes:
    flood = 8 << 20
    undefined = struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF)
    pixels = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
    match name:
        case "empty items":
            return part10(IDENTITY + undefined + (ITEM + bytes(4)) * (flood // 8) + SEQUENCE_END)
        case "empty items of undefined length":
            return part10(IDENTITY + undefined + (ITEM + FOREVER + ITEM_END) * (flood // 16) + SEQUENCE_END)
        case "empty fragments":
            return part10(IDENTITY + pixels + (ITEM + bytes(4)) * (flood // 8) + SEQUENCE_END)
        case "empty elements":
            return part10(IDENTITY + b"\x29\x00\x10\x00LO\x00\x00" * (flood // 8))
        case "empty sequences":
            return part10(IDENTITY + b"\x29\x00\x10\x00SQ\x00\x00\x00\x00\x00\x00" * (flood // 12))
        case "unknown values":
            return part10(IDENTITY + b"\x29\x00\x10\x00UN\x00\x00\x00\x00\x00\x00" * (flood // 12))
        case "empty implicit elements":
            return part10(bytes.fromhex("0800080000000000") * (flood // 8), IMPLICIT)
        case "half a sequence in a sequence of unknown VR":
            return part10(
                IDENTITY
                + b"".join(
                    element(0x00290010, b"UN", ITEM + struct.pack("<L", 4090) + bytes(4088)) for _ in range(2000)
                )
            )
        case "sequences, defined":
            return part10(IDENTITY + _sequence(300, defined=True))
        case "sequences, undefined":
            return part10(IDENTITY + _sequence(300, defined=False))
        case "sequences, thousands":
            return part10(IDENTITY + (undefined + ITEM + FOREVER) * 300_000)
        case "sequences, implicit and private":
            return part10(_implicit_nest(300), IMPLICIT)
        case "four gigabytes":
            return part10(IDENTITY + struct.pack("<HH2sHL", 0x0029, 0x1010, b"OB", 0, 0xFFFFFFFE) + bytes(64))
        case "four gigabytes in an item":
            return part10(IDENTITY + undefined + ITEM + struct.pack("<L", 0xFFFFFFF0) + bytes(64))
        case "bomb":
            return _bomb()
        case "no end of zeros":
            return part10(IDENTITY + bytes(flood) + b"x")
        case "a name of 8 MB":
            return part10(element(0x0040A160, b"UT", b" " * flood) + IDENTITY)
        case "noise":
            return part10(random.Random(1).randbytes(flood))
    raise AssertionError(name)


EXPECTED = {
    "empty items": "item-flood",
    "empty items of undefined length": "item-flood",
    "empty fragments": "item-flood",
    "empty elements": "",
    "empty sequences": "",
    "unknown values": "",
    "empty implicit elements": "incomplete-object",
    "half a sequence in a sequence of unknown VR": "",
    "sequences, defined": "too-deep",
    "sequences, undefined": "too-deep",
    "sequences, thousands": "too-deep",
    "sequences, implicit and private": "too-deep",
    "four gigabytes": "truncated",
    "four gigabytes in an item": "truncated",
    "bomb": "inflate-limit",
    "no end of zeros": "trailing-data",
    "a name of 8 MB": "",
    "noise": "truncated",
}
PROGRAM = """
import json, sys, time
from vna_lifecycle.dicom.{module} import {function} as function
from vna_lifecycle.errors import DicomRefused
outcomes = {{}}
for path in sys.argv[1:]:
    begin = time.process_time()
    try:
        function(path); code = ""
    except DicomRefused as exc:
        code = exc.code
    outcomes[path] = code, time.process_time() - begin
peak = [int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(json.dumps([outcomes, *peak]))
"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("hostile")
    paths = {}
    for number, name in enumerate(EXPECTED):
        path = folder / f"{number}.dcm"
        path.write_bytes(_hostile(name))
        paths[str(path)] = name
    return paths


@pytest.mark.parametrize(("module", "function"), [("scan", "scan_file"), ("digest", "examine_file")])
def test_hostile_files_cost_little_and_have_named_outcomes(module: str, function: str, hostile: dict[str, str]) -> None:
    program = PROGRAM.format(module=module, function=function)
    # far more than the two seconds that each may take, for machines that are busy
    done = subprocess.run([sys.executable, "-c", program, *hostile], capture_output=True, timeout=120, check=True)
    outcomes, kibibytes = json.loads(done.stdout)
    assert {hostile[path]: code for path, (code, _) in outcomes.items()} == EXPECTED
    assert kibibytes < 256 << 10


def test_every_refusal_has_a_reason_in_words() -> None:
    assert all(message and "%" not in message for message, _ in REASONS.values())


@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "device"])
def test_what_is_no_file_is_refused_and_never_blocks(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "thing"
    server = socket.socket(socket.AF_UNIX)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        server.bind(str(path))
    elif kind == "folder":
        path.mkdir()
    else:
        path = Path("/dev/zero")
    with pytest.raises(DicomRefused) as caught:
        scan_file(path)
    server.close()
    assert caught.value.code == ("directory" if kind == "folder" else "special-file")


def test_an_absent_file_is_the_operating_systems_own_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        scan_file(tmp_path / "absent")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b"\0", "not-dicom"),
        (b"hello, world" * 40, "not-dicom"),
        (bytes(4096), "not-dicom"),
        (bytes(128) + b"DICM", "truncated"),
        (part10(b""), "truncated"),
        (part10(IDENTITY[:-1]), "truncated"),
        (part10(IDENTITY + b"\x01"), "truncated"),
        (part10(IDENTITY[:30]), "truncated"),
        (part10(ui(0x00080018, "1.2.3")), "incomplete-object"),
        (part10(b"\x03\0", DEFLATED)[:-1], "truncated"),
        (part10(b"\xff\xff\xff", DEFLATED), "bad-deflate"),
    ],
)
def test_bytes_that_are_no_object_are_refused_by_name(data: bytes, code: str) -> None:
    with pytest.raises(DicomRefused) as caught:
        scan_bytes(data)
    assert caught.value.code == code


@pytest.mark.parametrize("magic", [b"MZ", b"\x7fELF", b"#!/bin/sh\n", b"\xcf\xfa\xed\xfe", b"PK\x03\x04"])
def test_a_preamble_that_begins_like_a_program_is_flagged_and_read(magic: bytes) -> None:
    assert scan_bytes(part10(IDENTITY, preamble=magic.ljust(128, b"\0"))).flags == ("executable-preamble",)


def test_a_tiff_preamble_is_what_the_standard_foresees() -> None:
    assert scan_bytes(part10(IDENTITY, preamble=b"II*\0".ljust(128, b"\0"))).flags == ()


def test_zeros_after_the_data_set_are_flagged_up_to_a_mebibyte() -> None:
    assert scan_bytes(part10(IDENTITY + bytes(5))).flags == ("trailing-zeros",)
    assert scan_bytes(part10(IDENTITY + bytes(1 << 20))).flags == ("trailing-zeros",)
    with pytest.raises(DicomRefused) as caught:
        scan_bytes(part10(IDENTITY + bytes((1 << 20) + 1)))
    assert caught.value.code == "trailing-data"


def test_hostile_identifiers_are_kept_as_they_are() -> None:
    body = IDENTITY.replace(b"1.2.3.4\0", b"../../a\0")
    assert scan_bytes(part10(body)).sop_instance_uid == "../../a"


def test_an_oversized_value_is_left_out_and_flagged() -> None:
    record = scan_bytes(part10(IDENTITY + element(0x00200010, b"UT", b"x" * 20_000)))
    assert record.series.study_id == ""
    assert "oversized-value" in record.flags


def test_each_budget_refuses_by_its_own_name() -> None:
    with pytest.raises(DicomRefused) as caught:
        scan_bytes(part10(IDENTITY), limits=Limits(elements=3))
    assert caught.value.code == "too-many-elements"
    with pytest.raises(DicomRefused) as caught:
        scan_bytes(part10(IDENTITY + _sequence(3, defined=True)), limits=Limits(depth=2))
    assert caught.value.code == "too-deep"
    assert scan_bytes(part10(IDENTITY + _sequence(64, defined=True)), limits=LIMITS).sop_instance_uid == "1.2.3.4"


def _mutated(original: bytes, chance: random.Random) -> bytes:
    data = bytearray(original)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(min(len(data), 4096)) if chance.random() < 0.8 else chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                data[at : at + 4] = chance.choice([FOREVER, bytes(4), ITEM, b"SQ\0\0", b"UN\0\0", b"\xfe\xff\x0d\xe0"])
            case 2:
                del data[at : at + chance.randint(1, 16)]
            case _:
                data[at:at] = chance.randbytes(chance.randint(1, 16))
    return bytes(data)


def test_two_thousand_mutations_of_real_files_end_in_a_record_or_a_refusal(
    every_file: list[Path], tmp_path: Path
) -> None:
    chance = random.Random(20)
    originals = [path.read_bytes() for path in every_file if path.stat().st_size < 20_000]
    path = tmp_path / "mutated.dcm"
    outcomes = {"record": 0, "refusal": 0}
    for _ in range(2_000):
        data = _mutated(chance.choice(originals), chance)
        path.write_bytes(data)
        try:
            examined = examine_file(path)
            assert scan_bytes(data, locator=str(path)) == examined.record
            outcomes["record"] += 1
        except DicomRefused as exc:
            assert exc.code in REASONS
            outcomes["refusal"] += 1
    assert outcomes["record"] > 50
    assert outcomes["refusal"] > 200
