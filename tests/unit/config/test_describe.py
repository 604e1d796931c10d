import enum
from pathlib import Path
from typing import Literal, NewType

import attrs
import pytest

from vna_lifecycle.config import ExecutionConfig, MigrationConfig, Person, Setting, describe
from vna_lifecycle.model.wave import DateRange, Exclusion, WavePolicy
from vna_lifecycle.plugin import SecretReference

Title = NewType("Title", str)


class Mode(enum.Enum):
    GET = "get"
    PUSH = "push"


@attrs.frozen(kw_only=True)
class Tls:
    ca: Path
    verify: bool = True


@attrs.frozen(kw_only=True)
class Settings:
    host: str = attrs.field(metadata={"help": "where it listens"})
    title: Title = Title("VNA")
    port: int = 104
    mode: Mode = Mode.GET
    level: Literal["study", "series"] = "study"
    ratio: float | None = None
    token: SecretReference | None = None
    tls: Tls | None = None
    modes: tuple[Mode, ...] = (Mode.GET, Mode.PUSH)
    verify: bool = True
    names: tuple[str, ...] = attrs.field(factory=lambda: ("a",))
    hidden: int = attrs.field(default=0, init=False)


def test_each_key_is_told_with_what_it_takes_and_what_holds_without_it() -> None:
    assert describe(Settings) == (
        Setting(key="host", type="text", required=True, default=None, help="where it listens"),
        Setting(key="title", type="text", required=False, default="VNA", help=""),
        Setting(key="port", type="whole number", required=False, default="104", help=""),
        Setting(key="mode", type="get | push", required=False, default="get", help=""),
        Setting(key="level", type="study | series", required=False, default="study", help=""),
        Setting(key="ratio", type="number", required=False, default="", help=""),
        Setting(key="token", type="env:NAME or file:PATH", required=False, default="", help=""),
        Setting(key="tls", type="table of ca, verify", required=False, default="", help=""),
        Setting(key="modes", type="list of get | push", required=False, default="[get, push]", help=""),
        Setting(key="verify", type="true or false", required=False, default="true", help=""),
        Setting(key="names", type="list of text", required=False, default="[a]", help=""),
    )


@pytest.mark.parametrize("cls", [ExecutionConfig, MigrationConfig, Person, WavePolicy, Exclusion, DateRange])
def test_every_key_of_our_own_tables_has_help(cls: type) -> None:
    assert [setting.key for setting in describe(cls) if not setting.help and setting.key != "name"] == []


def test_a_waves_table_has_the_keys_of_its_filter_too() -> None:
    keys = [setting.key for setting in describe(WavePolicy)]
    assert {"name", "modalities", "studied", "max_total_bytes"} <= set(keys)
    assert "select" not in keys
    assert [setting.key for setting in describe(DateRange)] == ["from", "to"]
