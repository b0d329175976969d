"""The page of an audit: its words, its bounds, and names that stay text."""

import base64
import csv
import dataclasses
import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ray_defense.core.errors import InputError
from ray_defense.core.escape_unprintable import escape_unprintable
from ray_defense.data.csv_file import write_csv
from ray_defense.reports.audit_page import (
    MAX_PICTURES,
    PICTURE_SIDE,
    AuditPageData,
    DuplicateGroup,
    FileNote,
    FlaggedSample,
    SamplePictures,
    headline,
    limits,
    render_audit_page,
    shrink_picture,
)
from tests.support.audit_page import VERDICT, audit_page_data, named_audit_data, noise_picture
from tests.support.html_page import HOSTILE, Page

MAX_BYTES = 10_000_000


def big_data(name: str, num_classes: int = 200, num_samples: int = 20_000) -> AuditPageData:
    """Returns data of which every list is long and every text a name; pictures are noise."""
    pictures = SamplePictures(
        noise_picture(0, 2 * PICTURE_SIDE), noise_picture(1, 224), noise_picture(2, 224)
    )
    flagged = []
    for index in range(num_samples):
        sample = FlaggedSample(
            file=f"{index}{name}",
            class_name=name,
            index=index,
            rank=index + 1,
            score=1.0 / (index + 1),
            p_value=0.01,
            reasons=name,
            duplicates=None,
            pictures=pictures if index < MAX_PICTURES else None,
        )
        flagged.append(sample)
    notes = tuple(FileNote(name, 1, name) for _ in range(num_samples))
    copies = (name,) * 100
    draw = np.random.default_rng(0)
    return audit_page_data(
        class_names=tuple(f"{label}{name}" for label in range(num_classes)),
        labels=np.arange(num_samples) % num_classes,
        split=np.full(num_samples, "flagged"),
        columns={str(number): draw.random(num_samples) for number in range(12)},
        flagged=tuple(flagged),
        maps=tuple(
            dataclasses.replace(
                audit_page_data().maps[0],
                points=draw.normal(0, 1, (num_samples, 2)),
                flagged=draw.random(num_samples) < 0.5,
            )
            for _ in range(2)
        ),
        duplicates=tuple(DuplicateGroup(number, copies, copies) for number in range(1000)),
        rejected=notes,
        conversions=notes,
        configuration={"names": [name] * 20},
    )


def changed_verdict(**changes: Any) -> AuditPageData:
    return audit_page_data(verdict=VERDICT | changes)


def text_of(page: str) -> str:
    return " ".join(Page(page).texts)


def test_the_same_data_give_the_same_page():
    assert render_audit_page(audit_page_data()) == render_audit_page(audit_page_data())


def test_row_report_the_policy_allows_nothing_but_data_images_and_the_one_script_by_its_hash():
    text = render_audit_page(audit_page_data())
    page = Page(text)
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    policies = [tag["content"] for tag in page.attributes_of("meta") if "http-equiv" in tag]
    assert policies == [policy]


def test_the_page_asks_for_nothing_outside_itself():
    text = render_audit_page(audit_page_data())
    page = Page(text)
    names = {name for name, _ in page.tags}
    assert not names & {"link", "iframe", "object", "form", "base"}
    for attributes in page.attributes_of("img"):
        assert attributes["src"].startswith("data:image/")
    assert not re.search(r"https?://|url\(|@import", re.sub(r"base64,[^\"]*", "", text))


def test_every_link_leads_to_a_part_of_the_page_and_no_id_is_given_twice():
    page = Page(render_audit_page(audit_page_data()))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for attributes in page.attributes_of("a"):
        assert attributes["href"].removeprefix("#") in ids


def test_every_image_has_an_alternative_text_and_every_header_cell_a_scope():
    page = Page(render_audit_page(audit_page_data()))
    assert all(attributes.get("alt") for attributes in page.attributes_of("img"))
    assert all(attributes.get("scope") for attributes in page.attributes_of("th"))


def test_no_name_adds_a_tag_an_attribute_or_a_control_character():
    text = render_audit_page(named_audit_data(HOSTILE))
    plain_names = tuple(f"plain {number}" for number in range(len(HOSTILE)))
    plain_page = Page(render_audit_page(named_audit_data(plain_names)))
    page = Page(text)
    assert page.structure() == plain_page.structure()
    assert all(char.isprintable() or char in "\n\xa0" for char in text)
    text.encode()


def test_row_input_15_names_are_inert_in_the_terminal_in_html_and_in_csv(tmp_path: Path):
    names = ("ü\n日本", "-rf", "\x1b[2J\x1b]0;x\x07", "<script>x</script>", "=cmd|' /C calc'!A0")
    structure = Page(render_audit_page(named_audit_data(("1", "2", "3", "4", "5")))).structure()
    assert Page(render_audit_page(named_audit_data(names))).structure() == structure
    write_csv(tmp_path / "a.csv", ("file",), ((name,) for name in names))
    with open(tmp_path / "a.csv", newline="") as file:
        cells = [row[0] for row in csv.reader(file)][1:]
    assert len(cells) == len(names)
    for cell in cells:
        assert cell.isprintable()
        assert not cell.startswith(("=", "+", "-", "@"))
    for name in names:
        assert escape_unprintable(name).isprintable()


def test_a_name_that_a_spreadsheet_would_run_is_copied_as_a_path():
    page = render_audit_page(named_audit_data(HOSTILE))
    names = page[page.index('class="names"') :].partition("</pre>")[0]
    assert "\n./=cmd|" in names
    assert "\n./-rf -rf" in names
    assert "\n=cmd" not in names


def test_every_name_is_listed_in_full_where_a_table_shows_its_two_ends():
    name = "a" * 5000 + "end.png"
    sample = audit_page_data().flagged[0]
    flagged = (dataclasses.replace(sample, file=name), *audit_page_data().flagged[1:])
    page = render_audit_page(audit_page_data(flagged=flagged))
    assert page.count(name) == 1
    assert "aaa…aaa" in page
    for other in flagged:
        assert other.file in page


@pytest.mark.parametrize("name", ["", "name.png", "<" * 10_000, "\U000e0001" * 10_000])
def test_no_data_make_a_page_of_ten_megabytes(name):
    page = render_audit_page(big_data(name))
    assert len(page.encode()) < MAX_BYTES
    assert page.count("more are left out here") >= 3


def test_two_hundred_classes_at_224_pixels_of_noise_fit_with_every_name():
    data = big_data("_of_a_photograph.jpg", num_samples=10_000)
    page = render_audit_page(data)
    assert len(page.encode()) < MAX_BYTES
    names = page[page.index('class="names"') :].partition("</pre>")[0]
    assert names.count("_of_a_photograph.jpg") == 10_000
    assert page.count("<figcaption>mirror image</figcaption>") >= 20


def test_a_small_picture_is_exact_and_an_original_of_that_size_is_shown_once():
    working = noise_picture(0, 32)
    same = SamplePictures(working.copy(), working, None)
    sample = dataclasses.replace(audit_page_data().flagged[0], pictures=same)
    flagged = (sample, *audit_page_data().flagged[1:])
    page = Page(render_audit_page(audit_page_data(flagged=flagged)))
    shown = [tag for tag in page.attributes_of("img") if f"Sample {sample.index}:" in tag["alt"]]
    assert len(shown) == 1
    assert shown[0]["src"].startswith("data:image/png")


@pytest.mark.parametrize(
    ("shape", "shown"),
    [((448, 224), (224, 112)), ((1, 10_000), (1, 224)), ((8, 8), (8, 8))],
)
def test_a_picture_keeps_its_shape_and_no_side_is_longer_than_224_pixels(shape, shown):
    assert shrink_picture(np.zeros((*shape, 3), np.uint8)).shape == (*shown, 3)


def test_the_headline_is_the_verdict_in_words():
    assert headline(audit_page_data()) == (
        "Evidence of a backdoor in the class “ship”: 90 of 2,000 samples are flagged"
    )
    two = headline(changed_verdict(labels_suspected=[1, 2]))
    assert "in the classes “bird” and “cat”:" in two
    assert "in 4 classes:" in headline(changed_verdict(labels_suspected=[0, 1, 2, 3]))
    assert "spread over the classes:" in headline(changed_verdict(labels_suspected=[]))
    none = changed_verdict(verdict="no evidence", labels_suspected=[])
    assert headline(none) == "No evidence of a backdoor in 2,000 samples"
    unknown = changed_verdict(verdict="not assessable")
    assert headline(unknown).startswith("Not assessable: ")


def test_no_evidence_is_never_called_proof_and_says_what_was_measured_of_the_power():
    sentences = limits(changed_verdict(verdict="no evidence"))
    assert sentences[0].startswith("This is no proof")
    assert sentences[-1] == (
        "Of 150 triggers planted in copies of the data, 86 were found; the kind that was found "
        "least is sig, 0 of 50."
    )
    unmeasured = limits(changed_verdict(verdict="no evidence", power=None))
    assert unmeasured[-1].endswith("was not measured.")


def test_what_is_not_assessable_says_why_and_nothing_is_called_an_all_clear():
    data = changed_verdict(verdict="not assessable", reasons=["only 50 samples"])
    assert limits(data)[-1] == "only 50 samples"
    assert "neither an all-clear nor a find" in limits(data)[0]


def test_the_suspected_class_stands_first_with_what_chance_would_give():
    page = render_audit_page(audit_page_data())
    first = page[page.index('<section id="classes"') :].partition("<tbody>")[2].split("</tr>")[0]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", first)
    assert "ship" in first
    assert cells[:4] == ["250", "83", "33.2\xa0%", "11.2"]
    assert float(cells[4]) < 1e-60
    assert "suspected" in cells[5]


def test_rejected_files_are_listed_with_reasons_and_a_warning():
    text = text_of(render_audit_page(audit_page_data()))
    assert "train/deer/movie.gif" in text
    assert "learns from pictures that nobody has checked" in text
    assert "Every file was read." in text_of(render_audit_page(audit_page_data(rejected=())))


def test_an_audit_that_flags_nothing_and_measured_little_has_a_page():
    no_power = {"power": None, "columns": [], "num_flagged": 0, "num_poisoned": None}
    data = audit_page_data(
        verdict=VERDICT
        | no_power
        | {"verdict": "not assessable", "num_samples": 0, "labels_suspected": []},
        notes=(),
        class_names=(),
        labels=np.zeros(0, np.int64),
        split=np.zeros(0, object),
        columns={},
        flagged=(),
        maps=(),
        duplicates=(),
        rejected=(),
        conversions=(),
        next_steps=(),
        choices={},
        seconds=None,
    )
    text = text_of(render_audit_page(data))
    assert "No sample is flagged." in text
    assert "Not measured" in text


@pytest.mark.parametrize(
    "changes",
    [
        {"split": np.full(3, "flagged")},
        {"columns": {"mirror": np.zeros(3)}},
        {"class_names": ("ship",)},
        {"flagged": ()},
        {"verdict": VERDICT | {"labels_suspected": [8]}},
        {"maps": (dataclasses.replace(audit_page_data().maps[0], points=np.zeros((3, 3))),)},
    ],
)
def test_parts_that_do_not_fit_are_refused(changes):
    with pytest.raises(InputError):
        audit_page_data(**changes)
