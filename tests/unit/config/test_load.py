import datetime as dt
import enum
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import attrs
import pytest
from attrs.validators import ge
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vna_lifecycle.adapters.dimse.settings import DimseSettings as PacsSettings
from vna_lifecycle.config import (
    ArchiveConfig,
    Config,
    Engine,
    ExecutionConfig,
    MigrationConfig,
    Person,
    load_config,
    template,
)
from vna_lifecycle.errors import ConfigurationError, PluginError
from vna_lifecycle.execution.windows import Window
from vna_lifecycle.model.inventory import Availability, Rung
from vna_lifecycle.model.wave import DateRange, Exclusion, Order, Patients, StudyFilter, WavePolicy
from vna_lifecycle.plugin import Registry, SecretReference
from vna_lifecycle.ports import Archive, Site


class Retrieve(enum.Enum):
    MOVE = "move"
    GET = "get"


@attrs.frozen(kw_only=True)
class Tls:
    ca: Path
    verify: bool = True


@attrs.frozen(kw_only=True)
class DimseSettings:
    host: str
    port: int = attrs.field(default=104, validator=ge(1))
    retrieve: Retrieve = Retrieve.MOVE
    level: Literal["study", "series"] = "study"
    timeout: float = 30.0
    password: SecretReference | None = None
    tls: Tls | None = None
    peers: tuple[Tls, ...] = ()


@attrs.frozen(kw_only=True)
class FolderSettings:
    path: Path


@attrs.frozen(kw_only=True)
class ListSettings:
    paths: list[str]


def open_nothing(settings: object, site: Site) -> Archive:
    raise AssertionError("nothing is opened by reading a file")


REGISTRY = Registry()
REGISTRY.archive("files", FolderSettings, open_nothing)
REGISTRY.archive("dimse", DimseSettings, open_nothing)
REGISTRY.archive("pacs", PacsSettings, open_nothing)
REGISTRY.archive("listing", ListSettings, open_nothing)

HEAD = """
[program]
name = "Old to new"
[archives.old]
plugin = "dimse"
host = "10.1.2.3"
[archives.new]
plugin = "files"
path = "new"
"""
MIGRATION = """
[migration]
sources = ["old"]
target = "new"
"""
BASE = HEAD + MIGRATION

Load = Callable[[str], Config]
Problems = Callable[[str], dict[str, str]]


@pytest.fixture(name="load")
def load_fixture(tmp_path: Path) -> Load:
    def load(text: str) -> Config:
        path = tmp_path / "program.toml"
        path.write_text(text, encoding="utf-8")
        return load_config(path, REGISTRY)

    return load


@pytest.fixture(name="problems")
def problems_fixture(load: Load) -> Problems:
    def problems(text: str) -> dict[str, str]:
        with pytest.raises(ConfigurationError) as caught:
            load(text)
        assert len(dict(caught.value.problems)) == len(caught.value.problems)
        for where, what in caught.value.problems:
            assert f"{where}: {what}" in str(caught.value)
        return dict(caught.value.problems)

    return problems


def test_the_least_program_has_one_wave_and_defaults_for_all_else(load: Load, tmp_path: Path) -> None:
    assert load(BASE) == Config(
        name="Old to new",
        archives=(
            ArchiveConfig(name="old", plugin="dimse", settings=DimseSettings(host="10.1.2.3")),
            ArchiveConfig(name="new", plugin="files", settings=FolderSettings(path=tmp_path / "new")),
        ),
        migration=MigrationConfig(sources=("old",), target="new", readers=("new",), verify=Rung.HASHED),
        waves=(WavePolicy(name="all"),),
        exclusions=(),
        execution=ExecutionConfig(engine=Engine.THREADS, workers=None, attempts=3),
        people=(),
    )


def test_every_section_and_every_key_land_as_values(load: Load, tmp_path: Path) -> None:
    config = load(
        HEAD
        + """
[archives.third]
plugin = "dimse"
host = "h"
port = 11112
retrieve = "get"
level = "series"
timeout = 5
password = "env:PACS_PASSWORD"
tls = { ca = "ca.pem", verify = false }
peers = [{ ca = "/etc/ca.pem" }]
[migration]
sources = ["old", "third"]
target = "new"
readers = ["new", "third"]
verify = "equivalent"
[[waves]]
name = "pilot"
order = "smallest-first"
patients = "split"
max_studies = 200
max_total_bytes = 1_000
sources = ["old"]
modalities = ["CT", "MR"]
body_parts = ["CHEST"]
descriptions = ["*thorax*"]
issuers = ["HOSP-A"]
patient_ids = ["007"]
studies = ["1.2.3"]
availability = ["ONLINE", "NEARLINE"]
studied = { from = 2025-01-01, to = 2025-12-31 }
undated = false
min_instances = 1
max_instances = 9
min_bytes = 10
max_bytes = 90
[[waves]]
name = "rest"
studied = { to = 2024-12-31 }
[[exclusions]]
reason = "phantoms"
patient_ids = ["PHANTOM"]
[execution]
engine = "processes"
workers = 2
max_bytes_per_second = 50_000_000
windows = [{ days = "mon-fri", from = "19:00", to = "06:00", share = 0.5 }]
time_zone = "Europe/Berlin"
reserve_bytes = 0
attempts = 5
[people.mallory]
role = "records officer"
key = "file:keys/mallory.pub"
"""
    )
    assert config.archive("third").settings == DimseSettings(
        host="h",
        port=11112,
        retrieve=Retrieve.GET,
        level="series",
        timeout=5.0,
        password=SecretReference("env:PACS_PASSWORD"),
        tls=Tls(ca=tmp_path / "ca.pem", verify=False),
        peers=(Tls(ca=Path("/etc/ca.pem")),),
    )
    assert config.migration == MigrationConfig(
        sources=("old", "third"), target="new", readers=("new", "third"), verify=Rung.EQUIVALENT
    )
    assert config.waves == (
        WavePolicy(
            name="pilot",
            order=Order.SMALLEST_FIRST,
            patients=Patients.SPLIT,
            max_studies=200,
            max_total_bytes=1000,
            select=StudyFilter(
                sources=("old",),
                modalities=("CT", "MR"),
                body_parts=("CHEST",),
                descriptions=("*thorax*",),
                issuers=("HOSP-A",),
                patient_ids=("007",),
                studies=("1.2.3",),
                availability=(Availability.ONLINE, Availability.NEARLINE),
                studied=DateRange(first=dt.date(2025, 1, 1), last=dt.date(2025, 12, 31)),
                undated=False,
                min_instances=1,
                max_instances=9,
                min_bytes=10,
                max_bytes=90,
            ),
        ),
        WavePolicy(name="rest", select=StudyFilter(studied=DateRange(last=dt.date(2024, 12, 31)))),
    )
    assert config.exclusions == (Exclusion(reason="phantoms", select=StudyFilter(patient_ids=("PHANTOM",))),)
    assert config.execution == ExecutionConfig(
        engine=Engine.PROCESSES,
        workers=2,
        max_bytes_per_second=50_000_000,
        windows=(Window(days=frozenset(range(5)), start=dt.time(19), end=dt.time(6), share=0.5),),
        time_zone=ZoneInfo("Europe/Berlin"),
        reserve_bytes=0,
        attempts=5,
    )
    assert config.people == (
        Person(name="mallory", role="records officer", key=SecretReference("file:keys/mallory.pub")),
    )
    assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301 - our own bytes; workers get values this way


def test_every_problem_is_told_at_once(problems: Problems) -> None:
    found = problems(
        """
[program]
nam = "x"
[archve.x]
[archives.old]
plugin = "dimse"
port = true
prot = 1
[archives.new]
plugin = "fils"
[migration]
sources = ["od"]
target = "new"
verify = "hashd"
[[waves]]
order = "newest"
max_studies = 0
modalities = ["ct"]
[[exclusions]]
reason = ""
[execution]
workers = 0
attempts = "3"
windows = [{ from = "19:00", to = "25:00" }]
[people.x]
"""
    )
    assert set(found) == {
        "archve",
        "program.nam",
        "program.name",
        "archives.old.host",
        "archives.old.port",
        "archives.old.prot",
        "archives.new.plugin",
        "migration.sources[0]",
        "migration.verify",
        "waves[0].name",
        "waves[0].order",
        "exclusions[0].reason",
        "exclusions[0]",
        "execution.workers",
        "execution.attempts",
        "execution.windows[0]",
        "people.x.role",
    }


@pytest.mark.parametrize(
    ("text", "where", "nearest"),
    [
        ("[wavs]\n" + BASE, "wavs", "waves"),
        (HEAD.replace("host", "hots") + MIGRATION, "archives.old.hots", "host"),
        (HEAD.replace('"dimse"', '"dismse"') + MIGRATION, "archives.old.plugin", "dimse"),
        (BASE.replace('"old"]', '"odl"]'), "migration.sources[0]", "old"),
        (BASE + 'readers = ["nwe"]', "migration.readers[0]", "new"),
        (BASE + 'verify = "hash"', "migration.verify", "hashed"),
        (BASE + '[[waves]]\nname = "a"\nmodality = ["CT"]', "waves[0].modality", "modalities"),
        (BASE + '[[waves]]\nname = "a"\nsources = ["ols"]', "waves[0].sources[0]", "old"),
        (BASE + '[[waves]]\nname = "a"\nmodalities = ["CT", "mr"]', "waves[0].modalities[1]", "MR"),
        (BASE + '[[waves]]\nname = "a"\navailability = ["online"]', "waves[0].availability[0]", "ONLINE"),
        (BASE + '[execution]\ntime_zone = "europe/berlin "', "execution.time_zone", "Europe/Berlin"),
        (BASE + '[execution]\nengine = "thread"', "execution.engine", "threads"),
    ],
)
def test_a_misspelt_word_is_told_with_the_nearest_known_one(
    problems: Problems, text: str, where: str, nearest: str
) -> None:
    assert f"did you mean {nearest!r}?" in problems(text)[where]


@pytest.mark.parametrize(
    ("line", "where", "expected"),
    [
        ("port = true", "port", "a whole number, not true or false"),
        ("port = 104.0", "port", "a whole number, not a number"),
        ('port = "104"', "port", "a whole number, not text"),
        ("port = 9223372036854775808", "port", "64 bits"),
        ("port = 0", "port", "must be >= 1"),
        ("retrieve = 1", "retrieve", "text, not a whole number"),
        ('retrieve = "MOVE"', "retrieve", "not one of move, get"),
        ('level = "patient"', "level", "not one of study, series"),
        ("timeout = true", "timeout", "a number, not true or false"),
        ("timeout = nan", "timeout", "finite"),
        ("tls = { verify = 1, ca = 'x' }", "tls.verify", "true or false, not a whole number"),
        ("tls = {}", "tls.ca", "is missing"),
        ("tls = { ca = '' }", "tls.ca", "must be a path"),
        ('tls = { ca = "a\\u0000b" }', "tls.ca", "must be a path"),
        ("tls = 'x'", "tls", "a table, not text"),
        ("peers = { ca = 'x' }", "peers", "a list, not a table"),
        ("peers = [{ ca = 'x' }, { ca = 3 }]", "peers[1].ca", "text, not a whole number"),
    ],
)
def test_values_are_exact_and_nothing_is_coerced(problems: Problems, line: str, where: str, expected: str) -> None:
    text = BASE.replace('host = "10.1.2.3"', f'host = "10.1.2.3"\n{line}')
    found = problems(text)
    assert list(found) == [f"archives.old.{where}"]
    assert expected in found[f"archives.old.{where}"]


@pytest.mark.parametrize("secret", ["hunter2", "env:", "env:A B", "file:", "ENV:X", "https://x"])
def test_a_secret_in_the_file_is_refused_without_repeating_it(load: Load, secret: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(BASE.replace('host = "10.1.2.3"', f'host = "h"\npassword = "{secret}"'))
    [(where, what)] = caught.value.problems
    assert where == "archives.old.password"
    assert "'env:NAME' or 'file:PATH'" in what
    if secret not in what:
        assert secret not in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "where", "what"),
    [
        ("studied = { from = 2025-02-01, to = 2025-01-01 }", ".studied", "later than"),
        ("studied = {}", ".studied", "needs"),
        ("studied = { from = 2025-01-01T00:00:00 }", ".studied.from", "a date with a time"),
        ('studied = { from = "2025-01-01" }', ".studied.from", "without quotes"),
        ("studied = { from = 2025-01-01 }\nundated = true", ".undated", "contradicts"),
        ("min_instances = 2\nmax_instances = 1", ".min_instances", "greater than max_instances"),
        ("min_bytes = 2\nmax_bytes = 1", ".min_bytes", "greater than max_bytes"),
        ("max_bytes = -1", ".max_bytes", "negative"),
        ('body_parts = ["WAY TOO LONG A CODE"]', ".body_parts[0]", "PS3.5"),
    ],
)
def test_a_filter_that_could_match_nothing_is_refused(problems: Problems, table: str, where: str, what: str) -> None:
    wave = problems(f'{BASE}[[waves]]\nname = "a"\n{table}')
    assert list(wave) == [f"waves[0]{where}"]
    assert what in wave[f"waves[0]{where}"]
    exclusion = problems(f'{BASE}[[exclusions]]\nreason = "a"\n{table}')
    assert exclusion == {where.replace("waves", "exclusions"): what for where, what in wave.items()}


@pytest.mark.parametrize(
    ("section", "where", "what"),
    [
        ('[[waves]]\nname = "a"\n[[waves]]\nname = "a"', "waves[1].name", "already the name of waves[0]"),
        ('[[waves]]\nname = " "', "waves[0].name", "not empty"),
        ('[[waves]]\nname = "a\\nb"', "waves[0].name", "printable"),
        ('[[waves]]\nname = "a"\nmax_studies = 0', "waves[0].max_studies", "at least 1"),
        ('[waves]\nname = "a"', "waves", "[[waves]]"),
        ('[[exclusions]]\nreason = "all of it"', "exclusions[0]", "every study"),
        ('[execution]\nwindows = [{ from = "19:00", to = "06:00" }]', "execution.time_zone", "need a time zone"),
        ('[execution]\ntime_zone = "Europe"', "execution.time_zone", "time zone"),
        ('[execution]\ntime_zone = "../../etc/passwd"', "execution.time_zone", "time zone"),
        ("[execution]\nmax_bytes_per_second = 0", "execution.max_bytes_per_second", ">= 1"),
        ('[people.x]\nrole = "r"\nkey = "abc"', "people.x.key", "'env:NAME' or 'file:PATH'"),
        ('[people]\nx = "r"', "people.x", "a table, not text"),
        ('[archives."a b"]\nplugin = "files"\npath = "x"', "archives.a b", "letters, digits"),
        ("[archives.x]\npath = 'x'", "archives.x.plugin", "is missing"),
    ],
)
def test_what_cannot_be_meant_is_refused_where_it_stands(
    problems: Problems, section: str, where: str, what: str
) -> None:
    found = problems(f"{BASE}{section}\n")
    assert list(found) == [where]
    assert what in found[where]


@pytest.mark.parametrize(
    ("migration", "where"),
    [
        ('sources = []\ntarget = "new"', "migration.sources"),
        ('sources = ["old", "old"]\ntarget = "new"', "migration.sources"),
        ('sources = ["old"]\ntarget = "old"', "migration.target"),
        ('sources = ["old"]', "migration.target"),
        ('sources = "old"\ntarget = "new"', "migration.sources"),
        ('sources = ["old"]\ntarget = "new"\nreaders = ["new", "new"]', "migration.readers"),
    ],
)
def test_a_migration_goes_from_known_sources_to_another_archive(problems: Problems, migration: str, where: str) -> None:
    assert list(problems(f"{HEAD}[migration]\n{migration}\n")) == [where]


def test_the_three_sections_that_are_needed_are_missed(problems: Problems) -> None:
    assert set(problems("")) == {"program", "archives", "migration"}


@pytest.mark.parametrize("engine", ["processes", "dask"])
def test_an_archive_that_listens_is_refused_with_worker_processes(
    load: Load, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """Objects of a C-MOVE come to one port; by C-GET they come to whoever asked."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "distributed")
    pacs = '[archives.pacs]\nplugin = "pacs"\nhost = "pacs"\nae_title = "PACS"\n'
    with pytest.raises(ConfigurationError) as raised:
        load(f'{BASE}{pacs}[execution]\nengine = "{engine}"')
    ((where, what),) = raised.value.problems
    assert where == "execution.engine"
    assert "[archives.pacs]" in what
    assert 'retrieve = "get"' in what
    got = f'{BASE}{pacs}retrieve = "get"\n'
    load(f'{got}[execution]\nengine = "{engine}"')
    with pytest.raises(ConfigurationError, match="commitment = false"):
        load(f'{got}commitment = true\n[execution]\nengine = "{engine}"')
    load(f"{BASE}{pacs}")


def test_dask_is_refused_while_its_extra_is_not_installed(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    text = BASE + '[execution]\nengine = "dask"'
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"vna-lifecycle\[dask\]"):
        load(text)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "distributed")
    assert load(text).execution.engine is Engine.DASK


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[program]\nname = \n", "line 2, column 8"),
        ("[program]\n\nname = 'a", "line 3, column 10"),
        ("[program\n", "line 1, column 9"),
        ("[program]\nname = 'a'\nname = 'b'\n", "line 3, column 11"),
    ],
)
def test_a_syntax_error_is_told_with_line_and_column(problems: Problems, text: str, place: str) -> None:
    assert list(problems(text)) == [place]


def test_text_that_is_not_utf_8_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "program.toml"
    path.write_bytes(b"[program]\nname = 'Klinik M\xfcnchen'\n")
    with pytest.raises(ConfigurationError) as caught:
        load_config(path, REGISTRY)
    assert caught.value.problems[0][0] == "line 2"


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "program.toml"
    path.write_text(BASE, encoding="utf-8-sig")
    assert load_config(path, REGISTRY).name == "Old to new"


def test_a_file_that_is_not_there_or_no_file_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_config(tmp_path / "program.toml", REGISTRY)
    assert "vna-lifecycle init" in caught.value.hint
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_config(tmp_path, REGISTRY)


def test_nesting_without_end_is_refused(problems: Problems) -> None:
    assert problems("x = " + "[" * 100_000) == {"": "is nested too deeply"}


def test_a_settings_class_that_no_file_can_fill_is_the_plugins_fault(load: Load) -> None:
    with pytest.raises(PluginError, match="list"):
        load(BASE + '[archives.x]\nplugin = "listing"\npaths = ["a"]\n')


def test_relative_paths_stay_valid_when_the_working_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "program.toml").write_text(BASE)
    monkeypatch.chdir(tmp_path)
    assert load_config(Path("program.toml"), REGISTRY).archive("new").settings == FolderSettings(path=tmp_path / "new")


def test_an_archive_is_found_by_name_or_not_at_all(load: Load) -> None:
    config = load(BASE)
    assert config.archive("old").plugin == "dimse"
    with pytest.raises(KeyError):
        config.archive("older")


@given(name=st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_template_loads_whatever_the_program_is_called(name: str, tmp_path: Path) -> None:
    path = tmp_path / "program.toml"
    path.write_bytes(template(name).encode())
    config = load_config(path, REGISTRY)
    assert config.name == name.strip()
    assert config.archive("old").settings == FolderSettings(path=tmp_path / "old")


def test_what_the_template_has_in_comments_loads_too(load: Load) -> None:
    prose = (
        "# A migration",
        "# `vna",
        "# A secret",
        "# One section",
        "# Waves are",
        "# What shall",
        "# What is",
        "# What makes",
        "# Who may",
    )
    lines = [line for line in template("x").splitlines() if not line.startswith(prose)]
    config = load("\n".join(line.removeprefix("# ").removeprefix("#") for line in lines))
    assert [wave.name for wave in config.waves] == ["pilot", "rest"]
    assert config.exclusions[0].select.descriptions == ("*phantom*", "test*")
    assert config.execution == ExecutionConfig(
        workers=4,
        max_bytes_per_second=50_000_000,
        windows=(Window(days=frozenset(range(5)), start=dt.time(19), end=dt.time(6), share=1.0),),
        time_zone=ZoneInfo("Europe/Berlin"),
    )
    assert [person.name for person in config.people] == ["mallory"]


SCALARS = st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates() | st.datetimes() | st.times()
INNER = st.sampled_from(["name", "from", "plugin", "path", "x"])
VALUES = st.recursive(
    SCALARS, lambda deeper: st.lists(deeper, max_size=3) | st.dictionaries(INNER, deeper, max_size=3), max_leaves=5
)
CLASSES = (StudyFilter, ExecutionConfig, WavePolicy, MigrationConfig)
KEYS = st.sampled_from([name for cls in CLASSES for name in attrs.fields_dict(cls)])
TABLES = st.dictionaries(KEYS, VALUES, max_size=5)
SECTIONS = st.sampled_from(["program", "archives", "migration", "waves", "exclusions", "execution", "people", "x"])


@given(document=st.dictionaries(SECTIONS, VALUES | TABLES | st.lists(TABLES, max_size=3)))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_file_says_the_answer_is_a_config_or_its_problems(
    document: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "any.toml"
    path.touch()
    monkeypatch.setattr("tomllib.loads", lambda text: document)
    try:
        load_config(path, REGISTRY)
    except ConfigurationError as exc:
        assert not isinstance(exc, PluginError)
        assert exc.problems
