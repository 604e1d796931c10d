"""The SOP classes of the standard that objects are stored under (PS3.4 B.5, PS3.6 Annex A)."""

from __future__ import annotations


def storage_classes() -> list[str]:
    """Their UIDs, retired ones too: those of images first, the standard's own range before others."""
    from pydicom._uid_dict import UID_dictionary

    found = [
        (not uid.startswith("1.2.840.10008.5.1.4.1.1."), "Image" not in name, bool(retired), uid)
        for uid, (name, kind, _, retired, _) in UID_dictionary.items()
        if kind == "SOP Class" and name.endswith(("Storage", "Storage (Retired)"))
    ]
    return [uid for *_, uid in sorted(found)]
