"""Write the VRs of PS3.6 as the installed pydicom has them into ``src/vna_lifecycle/dicom/vr.txt``.

What counts as the same instance depends on that table, so it is renewed only on purpose: attributes may be added, and a
changed line changes digests that archives and ledgers already hold.
"""

import textwrap
from collections import defaultdict
from pathlib import Path

import pydicom
from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary

TABLE = Path(__file__).parents[1] / "src" / "vna_lifecycle" / "dicom" / "vr.txt"


def main() -> None:
    by_vr: dict[str, list[str]] = defaultdict(list)
    for tag, entry in sorted(DicomDictionary.items()):
        by_vr[entry[0]].append(f"{tag:08X}")
    for mask, entry in sorted(RepeatersDictionary.items()):
        by_vr[entry[0]].append(mask.upper().replace("X", "x"))
    lines = [f"# VRs of public attributes, PS3.6 as pydicom {pydicom.__version__} has it; x is any digit."]
    for vr, tags in sorted(by_vr.items()):
        if vr != "NONE":  # items and delimiters
            lines += textwrap.wrap(" ".join(tags), 117, initial_indent=f"{vr[:2]} ", subsequent_indent=f"{vr[:2]} ")
    TABLE.write_text("\n".join(lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
