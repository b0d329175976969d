"""The report of a run: self-contained, reproducible, honest without a truth, and safe to open."""

import re
from typing import Any

import numpy as np
import pytest

from ray_defense.core.errors import InputError
from ray_defense.reports.run_page import ReportData, Round, headline, render_run_page
from ray_defense.stages.evaluation import WEAK_ASR
from tests.support.html_page import HOSTILE, Page
from tests.support.run_page import RATES, SCORE, make_suspect, named_data, report_data

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_the_same_data_give_the_same_page():
    assert render_run_page(report_data()) == render_run_page(report_data())


def test_the_page_asks_for_nothing_outside_itself():
    text = render_run_page(report_data())
    page = Page(text)
    policy = {"http-equiv": "Content-Security-Policy", "content": POLICY}
    assert policy in page.attributes_of("meta")
    names = {name for name, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "a", "form", "base"}
    for attributes in page.attributes_of("img"):
        assert attributes["src"].startswith("data:image/")
    without_images = re.sub(r"base64,[^\"]*", "", text)
    assert not re.search(r"https?://|url\(|@import", without_images)


def test_every_image_has_an_alternative_text_and_every_header_cell_a_scope():
    page = Page(render_run_page(report_data()))
    assert all(attributes.get("alt") for attributes in page.attributes_of("img"))
    assert all(attributes.get("scope") for attributes in page.attributes_of("th"))


def test_no_name_adds_a_tag_an_attribute_or_a_control_character():
    text = render_run_page(named_data(HOSTILE))
    page = Page(text)
    plain_names = tuple(f"plain {number}" for number in range(len(HOSTILE)))
    plain_page = Page(render_run_page(named_data(plain_names)))
    assert page.structure() == plain_page.structure()
    assert all(char.isprintable() or char in "\n\xa0" for char in text)
    text.encode()
    for name in HOSTILE:
        shown = name if name.isprintable() else name.encode("unicode_escape").decode()
        assert shown in page.texts or not shown


def test_without_truth_nothing_is_called_found_and_no_sample_clean_or_poisoned():
    not_measured = dict.fromkeys(RATES) | {"title": "a model"}
    data = report_data(
        result={
            "score": SCORE | dict.fromkeys(SCORE),
            "models": {"backdoored": not_measured, "d_br": not_measured},
        },
        poisoned=None,
        suspects=(make_suspect(1, poisoned=None),),
        poisoned_examples=(),
        rounds=(Round(1, 0.8, None),),
    )
    page = render_run_page(data)
    assert headline(data) == (
        "No truth to compare with: the highest scores are candidates, not finds"
    )
    assert "Backdoor found" not in page
    assert 'class="truth' not in page
    assert "ROC curve" not in page


def data_of_auroc(auroc: float | None, **changes: Any) -> ReportData:
    result = {"score": SCORE | {"auroc": auroc}, "models": {"backdoored": RATES}}
    return report_data(result=result, **changes)


def test_the_headline_says_only_what_the_numbers_say():
    assert headline(report_data()) == (
        "Backdoor found: AUROC 0.998; D-BR leaves ASR 0.3\xa0% at ACC 92.0\xa0%"
    )
    assert headline(data_of_auroc(0.8)) == "Backdoor partly found: AUROC 0.800"
    assert headline(data_of_auroc(0.55)) == "Backdoor not found: AUROC 0.550"
    equal_scores = data_of_auroc(0.5, scores=np.zeros(200))
    assert headline(equal_scores) == "Not assessable: all scores are equal"


def test_there_is_no_roc_curve_where_no_sample_or_every_sample_is_poisoned():
    none_poisoned = data_of_auroc(None, poisoned=np.zeros(200, bool))
    assert headline(none_poisoned).startswith("No sample is poisoned")
    assert "ROC curve" not in render_run_page(none_poisoned)
    all_poisoned = data_of_auroc(None, poisoned=np.ones(200, bool))
    assert headline(all_poisoned).startswith("Every sample is poisoned")
    assert "ROC curve" not in render_run_page(all_poisoned)


def test_every_model_has_its_row_and_every_defense_its_part_of_the_headline():
    models = {
        "a_new_defense": RATES | {"title": "a new defense", "acc": None, "asr": 0.25},
        "backdoored": RATES,
        "d_st": RATES | {"title": "D-ST", "asr": None},
    }
    data = report_data(result={"models": models})
    assert headline(data).split("; ")[1:] == ["a new defense leaves ASR 25.0\xa0%"]
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>\n<td', render_run_page(data))
    assert rows == ["Backdoored model", "A new defense", "D-ST"]


@pytest.mark.parametrize("weak", [True, False, None])
def test_a_weak_attack_and_no_other_is_noted_at_the_head_of_the_page(weak):
    page = render_run_page(report_data(result={"weak_attack": weak}))
    head, _, rest = page.partition("<h2>Models</h2>")
    note = (
        f"The backdoored model's ASR is under {100 * WEAK_ASR:g} %, "
        "which the paper's tables leave out."
    )
    assert (note in head) is (weak is True)
    assert "Weak attack" not in rest


def test_a_thousand_classes_and_a_run_without_models_rounds_or_suspects_have_a_page():
    data = report_data(
        result={"models": {}, "notes": [], "seconds": {}, "artifacts": {}},
        trusted_class_counts=[0] * 1000,
        class_names=("c",) * 1000,
        rounds=(),
        suspects=(),
        poisoned_examples=(),
    )
    assert "No model was evaluated" in render_run_page(data)


@pytest.mark.parametrize(
    "changes",
    [
        {"scores": np.full(200, np.nan)},
        {"scores": np.zeros(0)},
        {"poisoned": np.zeros(3, bool)},
        {"class_names": ("zero",)},
    ],
)
def test_parts_that_do_not_fit_are_refused(changes):
    with pytest.raises(InputError):
        report_data(**changes)
