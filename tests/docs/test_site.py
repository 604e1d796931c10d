"""The documentation as a site: it builds without a warning, hangs together, and loads nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md"))
LOADS = {"script", "img", "iframe", "source", "video", "audio", "embed", "object", "input", "track"}
LOADING_RELATIONS = {"stylesheet", "preload", "prefetch", "preconnect", "dns-prefetch", "modulepreload", "icon"}


class Loaded(HTMLParser):
    """What a browser fetches for a page without being asked to, and where its links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag in LOADS:
            self.loads += [given[name] for name in ("src", "data", "srcset", "poster") if name in given]
        if tag == "link" and LOADING_RELATIONS & set(given.get("rel", "").lower().split()):
            self.loads.append(given.get("href", ""))
        if tag == "a":
            self.links.append(given.get("href", ""))


def parsed(page: Path) -> Loaded:
    found = Loaded()
    found.feed(page.read_text(encoding="utf-8"))
    return found


def loaded_by_styles(text: str) -> Iterator[str]:
    yield from re.findall(r"""url\(\s*['"]?([^'")]+)""", text)
    yield from re.findall(r"""@import\s+['"]([^'"]+)""", text)


def is_elsewhere(address: str) -> bool:
    return re.match(r"(https?:)?//", address.strip()) is not None


def build(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """The command of ``make docs``."""
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", str(target / ".doctrees")]
    return subprocess.run([*command, str(source), str(target)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(DOCS, folder)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return folder


def test_the_site_builds_without_a_warning_and_has_every_page(site: Path) -> None:
    assert not [page for page in PAGES if not (site / f"{page}.html").exists()]


def test_every_page_is_reached_from_the_first_page_by_links_within_the_text(site: Path) -> None:
    reached, open_ = {"index"}, ["index"]
    while open_:
        page = site / f"{open_.pop()}.html"
        body = page.read_text(encoding="utf-8").partition("<article")[2].partition("</article>")[0]
        found = Loaded()
        found.feed(body)
        for link in found.links:
            place = link.partition("#")[0]
            if is_elsewhere(link) or not place.endswith(".html"):
                continue
            name = (page.parent / place).resolve().relative_to(site.resolve()).with_suffix("").as_posix()
            if name not in reached:
                reached.add(name)
                open_.append(name)
    assert sorted(set(PAGES) - reached) == []


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) >= len(PAGES)
    found = {(page.name, address) for page in pages for address in parsed(page).loads if is_elsewhere(address)}
    found |= {
        (page.name, address)
        for page in (*pages, *site.rglob("*.css"))
        for address in loaded_by_styles(page.read_text(encoding="utf-8"))
        if is_elsewhere(address)
    }
    assert not found


def test_no_script_of_the_site_names_another_host_to_load_from(site: Path) -> None:
    loading = re.compile(r"""(?:import\s*\(?|fetch\(|\.src\s*=|from)\s*["'](?:https?:)?//""")
    scripts = list(site.rglob("*.js"))
    assert scripts
    assert not [path.name for path in scripts if loading.search(path.read_text(encoding="utf-8"))]


def test_everything_that_a_page_loads_is_there(site: Path) -> None:
    for page in site.rglob("*.html"):
        for address in parsed(page).loads:
            place = re.split(r"[?#]", address)[0]
            assert not place or place.startswith("data:") or (page.parent / place).exists(), (page.name, address)


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("orphan.md", "# An orphan\n", "isn't included in any toctree"),
        ("index.md", "# First\n\n[nowhere](nowhere.md)\n", "nowhere"),
        ("index.md", "# First\n\n```mermaid\nstateDiagram-v2\n```\n", "mermaid"),
    ],
)
def test_a_page_that_does_not_hang_together_fails_the_build(
    name: str, text: str, complaint: str, tmp_path: Path
) -> None:
    source = tmp_path / "docs"
    source.mkdir()
    (source / "conf.py").write_text((DOCS / "conf.py").read_text(encoding="utf-8"), encoding="utf-8")
    (source / "index.md").write_text("# First\n", encoding="utf-8")
    (source / name).write_text(text, encoding="utf-8")
    done = build(source, tmp_path / "site")
    assert done.returncode != 0
    assert complaint in done.stderr
