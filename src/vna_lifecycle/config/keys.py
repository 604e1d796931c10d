"""Which keys a table of program.toml takes: the fields of its class, under the names that read well in the file."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

import attrs
from attrs import frozen

from vna_lifecycle.errors import PluginError
from vna_lifecycle.model.wave import DateRange, Exclusion, StudyFilter, WavePolicy

_RENAMED: Final[Mapping[tuple[type, str], str]] = {
    (DateRange, "first"): "from",
    (DateRange, "last"): "to",
}
"""Keys that cannot be field names: ``from`` is a keyword of Python."""

_FLATTENED: Final[Mapping[tuple[type, str], type]] = {
    (WavePolicy, "select"): StudyFilter,
    (Exclusion, "select"): StudyFilter,
}
"""Fields whose own keys lie in the same table."""

_HELP: Final[Mapping[tuple[type, str], str]] = {
    (DateRange, "first"): "first day; none: since ever",
    (DateRange, "last"): "last day, itself included; none: until today",
    (StudyFilter, "sources"): "archives in which the study lies",
    (StudyFilter, "modalities"): "the study has a series of any of these, such as 'CT'",
    (StudyFilter, "body_parts"): "the study has a series of any of these, such as 'CHEST'",
    (StudyFilter, "descriptions"): "patterns of the Study Description, with * and ?, in upper or lower case",
    (StudyFilter, "issuers"): "issuers of the patient ID",
    (StudyFilter, "patient_ids"): "patient IDs",
    (StudyFilter, "studies"): "Study Instance UIDs",
    (StudyFilter, "availability"): "where the study lies",
    (StudyFilter, "studied"): "range of Study Dates",
    (StudyFilter, "undated"): "true: only studies without a usable Study Date; false: only dated ones",
    (StudyFilter, "min_instances"): "least number of instances",
    (StudyFilter, "max_instances"): "greatest number of instances",
    (StudyFilter, "min_bytes"): "least size of the study",
    (StudyFilter, "max_bytes"): "greatest size of the study",
    (WavePolicy, "name"): "the wave's name",
    (WavePolicy, "order"): "which studies are taken first",
    (WavePolicy, "patients"): "together: a patient moves as a whole when one study matches; split: only what matches",
    (WavePolicy, "max_studies"): "most studies in the wave",
    (WavePolicy, "max_total_bytes"): "most bytes in the wave",
    (Exclusion, "reason"): "why these studies shall not move",
}
"""Help for fields of classes that are used beyond program.toml; other classes carry it as ``help`` metadata."""


@frozen(kw_only=True)
class Key:
    """One key of a table. ``within`` names the flattened field that it belongs to, or is ``""``."""

    name: str
    argument: str
    type: object
    within: str
    field: attrs.Attribute[Any]
    help: str

    @property
    def required(self) -> bool:
        """Whether the table must have this key."""
        return self.field.default is attrs.NOTHING


def keys_of(cls: type[Any]) -> tuple[Key, ...]:
    """The keys of a table that becomes a ``cls``, in the order of its fields; flattened ones where their field is.

    Raises:
        PluginError: the annotations of ``cls`` cannot be resolved.
    """
    try:
        hints = get_type_hints(cls)
    except NameError as exc:
        raise PluginError(
            f"the settings class {cls.__module__}.{cls.__qualname__} has an annotation that cannot be resolved: {exc}",
            hint="import the annotation's type at run time, not under TYPE_CHECKING",
        ) from exc
    keys: list[Key] = []
    for attribute in attrs.fields(cls):
        if not attribute.init:
            continue
        if (flattened := _FLATTENED.get((cls, attribute.name))) is not None:
            keys += [attrs.evolve(key, within=attribute.name) for key in keys_of(flattened)]
            continue
        where = (cls, attribute.name)
        keys.append(
            Key(
                name=_RENAMED.get(where, attribute.alias or attribute.name),
                argument=attribute.alias or attribute.name,
                type=hints[attribute.name],
                within="",
                field=attribute,
                help=_HELP.get(where) or str(attribute.metadata.get("help", "")),
            )
        )
    return tuple(keys)


def origin_of(annotation: object) -> object:
    """``tuple`` of ``tuple[int, ...]``, `Literal` of ``Literal["a"]``; None of a plain class."""
    return get_origin(annotation)


def without_none(annotation: object) -> tuple[object, bool]:
    """The annotation without its ``None`` arm, and whether it had one: TOML has no null, an absent key says it."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation, False
    arms = [arm for arm in get_args(annotation) if arm is not types.NoneType]
    if len(arms) != 1 or len(arms) == len(get_args(annotation)):
        return annotation, False
    return arms[0], True
