"""Tables to frozen values, exactly: every unknown, missing and bad key is told with its path."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any, Literal, NewType, TypeVar, get_args

import attrs
import cattrs

from vna_lifecycle.config.keys import keys_of, origin_of, without_none
from vna_lifecycle.config.scalars import (
    SCALARS,
    Hook,
    Problem,
    Unusable,
    choice,
    did_you_mean,
    enumeration,
    text,
    wrong,
)
from vna_lifecycle.errors import PluginError
from vna_lifecycle.plugin import SecretReference

_T = TypeVar("_T")


def joined(parent: str, child: str) -> str:
    """The path of ``child`` below ``parent``, as in ``archives.old.port`` and ``waves[0].order``."""
    return f"{parent}{child}" if not parent or not child or child.startswith("[") else f"{parent}.{child}"


@attrs.frozen
class _Structure:
    """Hooks that call back into their own converter."""

    converter: cattrs.Converter
    base: Path

    def path(self, value: object, _: object) -> Path:
        """A path; a relative one is relative to the program's folder."""
        path = text(value)
        if not path or "\0" in path:
            raise Unusable.because("must be a path")
        return self.base / path

    def leaf(self, annotation: object) -> Hook:
        """The hook of a type that is not made of others.

        Raises:
            PluginError: nothing in a file could become such a value.
        """
        if annotation is Path:
            return self.path
        if (hook := SCALARS.get(annotation)) is not None:
            return hook
        if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
            return enumeration(annotation)
        raise PluginError(
            f"a settings class has a field of type {annotation}, which program.toml cannot fill",
            hint="use str, int, float, bool, Path, date, Enum, Literal, SecretReference, attrs, tuple[X, ...]",
        )

    def optional(self, annotation: object) -> Hook:
        """The same as without None: TOML has no null."""
        return self._instead(without_none(annotation)[0])

    def new_type(self, annotation: NewType) -> Hook:
        """The same as the type that it is made of."""
        return self._instead(annotation.__supertype__)

    def _instead(self, annotation: object) -> Hook:
        hook = self.converter.get_structure_hook(annotation)
        return lambda value, _: hook(value, annotation)

    def many(self, annotation: object) -> Hook:
        """A list, of which every bad item is told."""
        item_type = get_args(annotation)[0]
        hook = self.converter.get_structure_hook(item_type)

        def structure(value: object, _: object) -> tuple[object, ...]:
            if not isinstance(value, list):
                raise wrong("a list", value)
            items: list[object] = []
            problems: list[Problem] = []
            for index, item in enumerate(value):
                try:
                    items.append(hook(item, item_type))
                except Unusable as exc:
                    problems += [(joined(f"[{index}]", path), message) for path, message in exc.problems]
            if problems:
                raise Unusable(problems)
            return tuple(items)

        return structure

    def table(self, cls: type[Any]) -> Hook:
        """A table, of which every unknown, missing and bad key is told."""
        known = {key.name: key for key in keys_of(cls)}
        hooks = {name: self.converter.get_structure_hook(key.type) for name, key in known.items()}

        def structure(value: object, _: object) -> object:
            if not isinstance(value, dict):
                raise wrong("a table", value)
            problems: list[Problem] = [
                (name, f"unknown key{did_you_mean(name, known)}") for name in value if name not in known
            ]
            arguments: dict[str, Any] = {}
            within: dict[str, dict[str, Any]] = {key.within: {} for key in known.values() if key.within}
            for name, key in known.items():
                if name not in value:
                    problems += [(name, "is missing")] if key.required else []
                    continue
                try:
                    item = hooks[name](value[name], key.type)
                    _validate(key.field, item)
                except Unusable as exc:
                    problems += [(joined(name, path), message) for path, message in exc.problems]
                else:
                    (within[key.within] if key.within else arguments)[key.argument] = item
            if problems:
                raise Unusable(problems)
            for name, nested in within.items():
                arguments[name] = getattr(attrs.fields(cls), name).default.factory(**nested)
            try:
                return cls(**arguments)
            except (ValueError, TypeError) as exc:
                raise Unusable.because(str(exc.args[0] if exc.args else exc)) from exc

        return structure


def _validate(attribute: attrs.Attribute[Any], value: object) -> None:
    """Run a field's validator early, so that one bad field does not hide the others."""
    if attribute.validator is None or attribute.converter is not None:
        return  # what a validator sees after a converter, only the constructor knows
    try:
        attribute.validator(None, attribute, value)
    except (ValueError, TypeError) as exc:
        raise Unusable.because(str(exc.args[0] if exc.args else exc)) from exc
    except AttributeError:
        return  # the validator looks at its instance: the constructor will run it


def exact_converter(base: Path) -> cattrs.Converter:
    """A converter whose hooks raise `Unusable`. Relative paths are taken to be relative to ``base``."""
    converter = cattrs.Converter()
    structure = _Structure(converter, base)
    # Later hooks win, so the one for everything else comes first.
    converter.register_structure_hook_factory(lambda _: True, structure.leaf)
    converter.register_structure_hook_factory(lambda kind: attrs.has(kind) and kind not in SCALARS, structure.table)
    converter.register_structure_hook_factory(lambda kind: origin_of(kind) is Literal, choice)
    converter.register_structure_hook_factory(lambda kind: isinstance(kind, NewType), structure.new_type)
    converter.register_structure_hook_func(lambda kind: kind is SecretReference, SCALARS[SecretReference])
    converter.register_structure_hook_factory(lambda kind: without_none(kind)[1], structure.optional)
    converter.register_structure_hook_factory(
        lambda kind: origin_of(kind) is tuple and get_args(kind)[1:] == (Ellipsis,), structure.many
    )
    for coerced in (str, bytes, int, float, Path):  # cattrs has hooks of its own for these and for their subclasses
        converter.register_structure_hook(coerced, lambda value, kind: structure.leaf(kind)(value, kind))
    return converter


def structured(converter: cattrs.Converter, value: object, cls: type[_T]) -> _T:
    """``value`` as a ``cls``.

    Raises:
        Unusable: with every problem.
    """
    return converter.structure(value, cls)
