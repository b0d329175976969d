"""Every page in Chromium: it asks for nothing, complains of nothing, and fits a phone."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ray_defense.reports.audit_page import render_audit_page
from ray_defense.reports.run_page import render_run_page
from ray_defense.reports.sweep_page import render_sweep_page
from tests.support.audit_page import audit_page_data, named_audit_data
from tests.support.browser import Browser, open_browser
from tests.support.html_page import HOSTILE
from tests.support.run_page import named_data, report_data
from tests.support.sweep_page import full_row

PHONE = 390
DESKTOP = 1280
LONG_NAMES = ("a_long_name_of_a_model_or_a_class_without_any_blank_in_it" * 3, "b" * 400)


def run_page() -> str:
    return render_run_page(report_data(class_names=LONG_NAMES))


def sweep_page() -> str:
    rows = [full_row(trial, **{"probe.epochs": str(trial)}) for trial in range(3)]
    return render_sweep_page({"name": "digits", "seed": 0}, rows, {"backdoored": "backdoored"})


def audit_page() -> str:
    return render_audit_page(audit_page_data())


def hostile_run_page() -> str:
    return render_run_page(named_data(HOSTILE))


def hostile_audit_page() -> str:
    return render_audit_page(named_audit_data(HOSTILE))


PAGES = (run_page, sweep_page, audit_page, hostile_run_page, hostile_audit_page)
NAMES = tuple(make_page.__name__ for make_page in PAGES)


# The cells whose text stands in columns of a letter or two.
NARROW_CELLS = """[...document.querySelectorAll("td, tbody th")].filter((cell) => {
    const range = document.createRange();
    range.selectNodeContents(cell);
    const lines = range.getBoundingClientRect().height / 20;
    return lines > 4 && cell.textContent.trim().length < 4 * lines;
}).map((cell) => cell.textContent)"""


@dataclass(frozen=True)
class Seen:
    """What was seen of a page: in light colors on a desktop, or in dark ones on a phone."""

    requests: list[str]
    complaints: list[str]
    num_broken_images: int
    width: int
    background: str
    narrow_cells: list[str]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Returns the file of every page by the name of the function that makes it."""
    folder = tmp_path_factory.mktemp("pages")
    files = {}
    for make_page in PAGES:
        files[make_page.__name__] = folder / f"{make_page.__name__}.html"
        files[make_page.__name__].write_text(make_page())
    return files


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def look_at(browser: Browser, page: Path, *, phone: bool) -> Seen:
    browser.open(page, width=PHONE if phone else DESKTOP, dark=phone)
    return Seen(
        requests=list(browser.requests),
        complaints=list(browser.complaints),
        num_broken_images=browser.evaluate(
            "[...document.images].filter((image) => !image.naturalWidth).length"
        ),
        width=browser.evaluate("Math.max(document.documentElement.scrollWidth, innerWidth)"),
        background=browser.evaluate("getComputedStyle(document.body).backgroundColor"),
        narrow_cells=browser.evaluate(NARROW_CELLS),
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_page_asks_for_nothing_and_fits_a_desktop_in_light_colors(browser, pages, name):
    assert look_at(browser, pages[name], phone=False) == Seen(
        requests=[],
        complaints=[],
        num_broken_images=0,
        width=DESKTOP,
        background="rgb(255, 255, 255)",
        narrow_cells=[],
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_page_asks_for_nothing_and_fits_a_phone_in_dark_colors(browser, pages, name):
    assert look_at(browser, pages[name], phone=True) == Seen(
        requests=[],
        complaints=[],
        num_broken_images=0,
        width=PHONE,
        background="rgb(20, 24, 29)",
        narrow_cells=[],
    )


def test_a_script_that_is_not_the_page_s_own_does_not_run(browser, pages, tmp_path):
    injected = tmp_path / "injected.html"
    page = pages["audit_page"].read_text()
    injected.write_text(page.replace("<main>", "<main><script>window.ran = 1</script>"))
    browser.open(injected)
    assert browser.evaluate("window.ran") is None
    assert len(browser.complaints) == 1


def test_the_table_of_flagged_samples_is_sorted_by_a_click_on_a_header(browser, pages):
    browser.open(pages["audit_page"])
    scores = """[...document.querySelectorAll("#flagged table tbody tr")].map(
        (row) => parseFloat(row.cells[3].textContent))"""
    before = browser.evaluate(scores)
    header = 'document.querySelectorAll("#flagged thead th")[3]'
    browser.evaluate(f'{header}.querySelector("button").click()', by_user=True)
    assert browser.evaluate(f'{header}.getAttribute("aria-sort")') == "ascending"
    assert browser.evaluate(scores) == sorted(before)
    browser.evaluate(f'{header}.querySelector("button").click()', by_user=True)
    assert browser.evaluate(scores) == sorted(before, reverse=True)


def test_small_p_values_are_sorted_as_numbers(browser, pages):
    browser.open(pages["audit_page"])
    header = 'document.querySelectorAll("#classes thead th")[5]'
    for _ in range(2):
        browser.evaluate(f'{header}.querySelector("button").click()', by_user=True)
    last = "document.querySelector('#classes tbody').lastElementChild.textContent"
    assert browser.evaluate(last).startswith("ship")


def test_the_filter_shows_the_rows_and_pictures_that_hold_its_words(browser, pages):
    browser.open(pages["audit_page"])
    shown = """[...document.querySelectorAll("#flagged tbody tr, #flagged .cards > li")].filter(
        (item) => item.offsetParent).map((item) => item.textContent)"""
    everything = browser.evaluate(shown)
    browser.evaluate("""(() => {
        const input = document.querySelector("#flagged input");
        input.value = "BIRD";
        input.dispatchEvent(new Event("input"));
    })()""")
    birds = browser.evaluate(shown)
    assert 0 < len(birds) < len(everything)
    assert all("bird" in text for text in birds)


def test_the_button_copies_every_name(browser, pages):
    browser.open(pages["audit_page"])
    browser.evaluate("document.querySelector('#flagged .copy').click()", by_user=True)
    selected = browser.evaluate("getSelection().toString()").split()
    assert selected == [sample.file for sample in audit_page_data().flagged]
    wait = "new Promise((resolve) => setTimeout(resolve, 300))"
    browser.evaluate(wait)
    said = browser.evaluate("document.querySelector('#flagged .copybar .status').textContent")
    assert said in ("Copied.", "Selected: copy it with the keyboard.")


def test_without_the_script_nothing_is_missing_and_no_control_is_dead(browser, pages):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(pages["audit_page"])
        assert browser.evaluate("document.querySelectorAll('button, input').length") == 0
        text = browser.evaluate("document.querySelector('main').textContent")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
    for sample in audit_page_data().flagged:
        assert sample.file in text


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious(browser, pages, name, dark):
    file = os.environ.get("AXE_CORE", "/usr/share/javascript/axe-core/axe.min.js")
    if not Path(file).is_file():
        pytest.skip("there is no axe-core here: name its axe.min.js in AXE_CORE")
    browser.open(pages[name], dark=dark)
    browser.evaluate(Path(file).read_text() + "; 0")
    found = browser.evaluate("""axe.run().then((result) => result.violations
        .filter((finding) => ["serious", "critical"].includes(finding.impact))
        .map((finding) => finding.id + ": " + finding.nodes[0].html))""")
    assert found == []


def test_the_picture_of_a_sample_is_shown_at_one_scale_on_every_screen(browser, pages):
    browser.open(pages["audit_page"], width=PHONE)
    widths = browser.evaluate(
        "[...document.querySelectorAll('.trio img')].slice(0, 3).map((image) => image.width)"
    )
    assert np.ptp(widths) <= 1
    assert min(widths) > 80
