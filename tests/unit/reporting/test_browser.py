"""The page in a real browser: what is drawn, at every size, and that nothing moves, asks or runs."""

from __future__ import annotations

import itertools
import re
import struct
from pathlib import Path
from typing import Any

import pytest

from peers.chromium import Browser
from unit.reporting.hostile import EVERYTHING
from unit.reporting.synthetic import EMPTY, REALISTIC, allowed, endlessly, large, many, with_text
from vna_lifecycle.reporting.facts import Facts
from vna_lifecycle.reporting.html import render

pytestmark = pytest.mark.peer

DESKTOP, PHONE = (1280, 900), (390, 844)
NAMES = [
    "مستشفى الملك فهد التخصصي بالدمام",
    "מרכז רפואי: ארכיון 2020-2025 (CT)",
    "放射線科アーカイブ移行計画第三期",
    "Thoraxröntgenaufnahmensammlungsübernahmebegleitausschussvorsitzende " * 4,
    "x" * 1_500,
]
PAGES = {
    "realistic": REALISTIC,
    "nothing planned": EMPTY,
    "one wave, allowed": allowed(),
    "forty waves": many(40),
    "100,000 studies": large(),
    "names of the world": with_text(endlessly(NAMES)),
    "hostile": with_text(endlessly(list(EVERYTHING))),
}

OVERLAPS = """
const found = [];
for (const svg of document.querySelectorAll('svg.chart')) {
  const frame = svg.getBoundingClientRect();
  const texts = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
  for (const [text, box] of texts)
    if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1)
      found.push('outside: ' + text);
  for (let i = 0; i < texts.length; i++) for (let j = i + 1; j < texts.length; j++) {
    const a = texts[i][1], b = texts[j][1], slack = 3 * frame.width / 360;  // a line is higher than its letters
    if (a.left < b.right && b.left < a.right && a.top < b.bottom - slack && b.top < a.bottom - slack)
      found.push(texts[i][0] + ' / ' + texts[j][0]);
  }
}
return found;
"""
ACTIVE = """
const active = [];
for (const element of document.querySelectorAll('*')) {
  if (element.matches('script, iframe, object, embed, link, base, form, input, button, img, video, audio,'
      + 'foreignObject, animate, set, use, image, template, math, noscript')) active.push(element.tagName);
  for (const {name, value} of element.attributes) {
    if (name.startsWith('on') || name === 'style' || name === 'src' || name === 'srcdoc') active.push(name);
    if (name.endsWith('href') && !/^#[a-z-]+$/.test(value)) active.push(name + '=' + value);
  }
}
return active;
"""
CONTRAST = """
const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
const ground = element => {
  for (; element; element = element.parentElement) {
    const colour = numbers(getComputedStyle(element).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const poor = new Set();
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.textContent.trim() || element.closest('title, desc, style')) continue;
  const style = getComputedStyle(element), ink = element instanceof SVGElement ? style.fill : style.color;
  const [a, b] = [luminance(numbers(ink)), luminance(ground(element))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < 4.5) poor.add(ratio.toFixed(2) + ' ' + element.className + ' ' + element.textContent.slice(0, 30));
}
return [...poor];
"""
FADED_MARKS = """
const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
const paper = luminance(numbers(getComputedStyle(document.querySelector('.card')).backgroundColor));
const poor = [];
for (const [selector, property] of [['.column', 'fill'], ['.fill-ready', 'fill'], ['.frame-imported', 'stroke'],
    ['.line.imported', 'stroke'], ['.line.ready', 'stroke'], ['.line.planned', 'stroke']]) {
  const colour = luminance(numbers(getComputedStyle(document.querySelector(selector))[property]));
  const ratio = (Math.max(colour, paper) + 0.05) / (Math.min(colour, paper) + 0.05);
  if (ratio < 3) poor.push(selector + ' ' + ratio.toFixed(2));
}
return poor;
"""
HEADINGS = "return [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map(h => Number(h.tagName[1]))"
NAMELESS = """
return [...document.querySelectorAll('svg')].filter(svg => {
  if (svg.getAttribute('aria-hidden') === 'true') return false;
  const ids = (svg.getAttribute('aria-labelledby') || '').split(' ').filter(Boolean);
  const said = ids.map(id => document.getElementById(id)?.textContent?.trim()).filter(Boolean);
  const named = svg.getAttribute('aria-label') || (ids.length && said.length === ids.length);
  return svg.getAttribute('role') !== 'img' || !named;
}).map(svg => svg.outerHTML.slice(0, 80));
"""
REPEATED_IDS = """
const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
return ids.filter((id, place) => ids.indexOf(id) !== place);
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    return {name: write(facts, folder / f"{number}.html") for number, (name, facts) in enumerate(PAGES.items())}


def write(facts: Facts, path: Path) -> Path:
    path.write_text("".join(render(facts)), encoding="utf-8")
    return path


def boxes(browser: Browser, selector: str) -> list[dict[str, Any]]:
    script = f"return [...document.querySelectorAll({selector!r})].map(e => e.getBoundingClientRect().toJSON())"
    found: list[dict[str, Any]] = browser.run(script)
    return found


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_drawn_without_overflow_overlap_complaint_or_request(
    name: str, size: tuple[int, int], browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages[name], width=size[0], height=size[1])
    assert browser.complaints() == []
    assert browser.requests() == [pages[name].as_uri()]
    assert browser.run(ACTIVE) == []
    assert browser.run("return document.documentElement.scrollWidth") <= size[0]
    assert browser.run(OVERLAPS) == []
    [heading] = boxes(browser, "h1")
    assert heading["bottom"] < size[1] / 2  # the answer is there before anybody scrolls


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_picture_of_the_page_is_as_wide_as_the_screen(
    size: tuple[int, int], browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages["realistic"], width=size[0], height=size[1])
    picture = browser.screenshot(whole=False)
    assert struct.unpack(">II", picture[16:24]) == size  # PNG, IHDR
    assert len(set(picture)) > 200  # not blank


def test_the_first_obstacle_is_seen_without_scrolling(browser: Browser, pages: dict[str, Path]) -> None:
    for width, height in (DESKTOP, PHONE):
        browser.open(pages["realistic"], width=width, height=height)
        assert boxes(browser, ".obstacles > li")[0]["bottom"] < height


def test_imported_and_ready_stand_side_by_side_at_every_width(browser: Browser, pages: dict[str, Path]) -> None:
    for width, height in (DESKTOP, PHONE):
        browser.open(pages["realistic"], width=width, height=height)
        bars = boxes(browser, ".wave .bar")
        for imported, ready in zip(bars[::2], bars[1::2], strict=True):
            assert imported["right"] < ready["left"]
            assert abs(imported["top"] - ready["top"]) < 2


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["realistic", "one wave, allowed"])
def test_every_text_and_every_mark_can_be_told_from_its_ground(
    name: str, dark: bool, browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages[name], dark=dark)
    assert browser.run(CONTRAST) == []  # WCAG 2.2, 1.4.3
    assert browser.run(FADED_MARKS) == []  # 1.4.11


@pytest.mark.parametrize("name", PAGES)
def test_who_cannot_see_finds_headings_landmarks_and_names(name: str, browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages[name])
    levels = browser.run(HEADINGS)
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for landmark in ("header", "nav", "main", "footer"):
        assert browser.run(f"return document.querySelectorAll('body > {landmark}, main > {landmark}').length") == 1
    assert browser.run(NAMELESS) == []
    assert browser.run(REPEATED_IDS) == []
    assert browser.run("return document.documentElement.lang") == "en"
    assert browser.run("return [...document.querySelectorAll('nav a')].every(a => document.querySelector(a.hash))")


def test_a_script_that_got_in_would_not_run(browser: Browser, tmp_path: Path) -> None:
    html = "".join(render(REALISTIC))
    planted = html.replace("</main>", "<script>document.title='run'</script><img src='http://127.0.0.1:9/x'></main>")
    path = tmp_path / "planted.html"
    path.write_text(planted, encoding="utf-8")
    browser.open(path)
    assert browser.run("return document.title") != "run"
    assert any("Content Security Policy" in line for line in browser.complaints())
    assert browser.run(ACTIVE) == ["SCRIPT", "IMG", "src"]


@pytest.mark.parametrize("name", ["realistic", "forty waves"])
def test_the_page_prints_on_a4_with_all_that_is_folded_away(
    name: str, browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages[name])
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF")
    [box, *_] = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert [round(float(side)) for side in box] == pytest.approx([595, 842], abs=2)  # A4 in points
    assert 2 <= len(re.findall(rb"/Type /Page\b", pdf)) <= 60
