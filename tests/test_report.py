"""The report page: self-contained, reproducible, inert whatever the names, honest without truth."""

import base64
import dataclasses
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from ray_defense.core.errors import Refused
from ray_defense.reports import figures
from ray_defense.reports.run_page import Example, ReportData, Round, Suspect, headline, render
from ray_defense.stages.evaluation import WEAK_ASR

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "=cmd|' /C calc'!A0",
    "a\nb",
    "$x^{$",
    "\x1b[31m",
    "\u202egnp",
    "\udcff",
    "{{ 7 * 7 }}",
    "]]>&amp;--></style>",
    "",
    "-rf " * 1000,
    "日本",
)
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
RATES = {
    "acc": 0.92,
    "acc_target_excluded": 0.915,
    "asr": 0.998,
    "n_clean": 1000,
    "n_triggered": 900,
    "acc_interval": [0.901, 0.936],
    "asr_interval": [0.992, 0.9998],
}
SCORE = {"auroc": 0.998, "trusted_precision": 1.0, "poisoned_precision": 0.9, "trusted_class_counts": [30, 10]}
RESULT = {
    "recipe": "digits-badnets",
    "seed": 3,
    "score": SCORE,
    "backdoored": RATES,
    "d_br": RATES | {"asr": 0.003},
    "d_st": None,
    "weak_attack": False,
    "seconds": {"probe": 61.5, "score": 2.25},
    "artifacts": {"probe": "store/probe/ab"},
    "report": "store/report.html",
    "versions": {"torch": "2.15"},
    "notes": ["class 1 is scarce"],
}


def image(seed: int, side: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def suspect(rank: int, name: str = "zero", poisoned: bool | None = True) -> Suspect:
    return Suspect(rank + 100, rank, 9.0 / rank, name, image(rank), image(rank + 50), poisoned, name)


def report_data(result: dict | None = None, **changes) -> ReportData:
    poisoned = np.arange(200) < 20
    noise = np.random.default_rng(0).uniform(0.5, 2, 200)
    data = ReportData(
        result=RESULT | (result or {}),
        config={"alpha_c": 0.2, "attack": {"kind": "badnets"}},
        scores=np.where(poisoned, 100.0, 1.0) * noise,
        poisoned=poisoned,
        trusted_threshold=0.7,
        poisoned_threshold=90.0,
        trusted_class_counts=[30, 10],
        suspects=(suspect(1), suspect(2, poisoned=False)),
        poisoned_examples=(Example(7, "zero", "one", image(7), image(8)),),
        rounds=(Round(1, 0.8, 0.5), Round(2, 0.9, 0.003)),
        class_names=("zero", "one"),
    )
    return dataclasses.replace(data, **changes)


def named(names: tuple[str, ...]) -> ReportData:
    texts = dict(zip(names, names, strict=True))
    named_result = {"recipe": names[0], "notes": list(names), "artifacts": texts, "versions": texts, "report": names[0]}
    return report_data(
        result=named_result | {"seconds": dict.fromkeys(names, 1.0)},
        config=texts,
        class_names=names,
        trusted_class_counts=[1] * len(names),
        suspects=tuple(suspect(rank, name) for rank, name in enumerate(names, 1)),
        poisoned_examples=tuple(Example(7, name, name, image(7), image(8)) for name in names),
    )


class Page(HTMLParser):
    """The tags with their attributes, and the pieces of text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


def test_the_same_data_give_the_same_bytes_and_no_date():
    assert render(report_data()) == render(report_data())
    svg = figures.roc(np.arange(10.0), np.arange(10) > 6)
    assert "dc:date" not in svg and "dc:creator" not in svg


def test_the_page_asks_for_nothing_outside_itself():
    page = render(report_data())
    tags = Page(page).tags
    assert ("meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}) in tags
    assert not {tag for tag, _ in tags} & {"script", "link", "iframe", "object", "a", "form", "base"}
    assert all(attributes["src"].startswith("data:image/") for tag, attributes in tags if tag == "img")
    assert not re.search(r"https?://|url\(|@import", re.sub(r"base64,[^\"]*", "", page))


def test_every_image_has_an_alternative_text_and_every_header_cell_a_scope():
    tags = Page(render(report_data())).tags
    assert all(attributes.get("alt") for tag, attributes in tags if tag == "img")
    assert all(attributes.get("scope") for tag, attributes in tags if tag == "th")


def test_no_name_adds_a_tag_an_attribute_or_a_control_character():
    page = render(named(HOSTILE))
    hostile, plain = Page(page), Page(render(named(tuple(f"plain {number}" for number in range(len(HOSTILE))))))
    assert [(tag, sorted(attributes)) for tag, attributes in hostile.tags] == [
        (tag, sorted(attributes)) for tag, attributes in plain.tags
    ]
    assert all(char.isprintable() or char in "\n\xa0" for char in page)
    page.encode()
    for name in HOSTILE:
        shown = name if name.isprintable() else name.encode("unicode_escape").decode()
        assert shown in hostile.texts or not shown


def test_a_dollar_in_a_class_name_is_drawn_and_not_read_as_mathematics():
    assert figures.class_balance([1, 2], ["$\\frac{", "$x$"]) != figures.class_balance([1, 2], ["$\\frac{", "x"])


def test_without_truth_nothing_is_called_found_and_no_sample_clean_or_poisoned():
    unknown = dict.fromkeys(RATES)
    data = report_data(
        result={"score": SCORE | dict.fromkeys(SCORE), "backdoored": unknown, "d_br": unknown},
        poisoned=None,
        suspects=(suspect(1, poisoned=None),),
        poisoned_examples=(),
        rounds=(Round(1, 0.8, None),),
    )
    page = render(data)
    assert headline(data) == "No truth to compare with: the highest scores are candidates, not finds"
    assert "Backdoor found" not in page and 'class="truth' not in page and "ROC curve" not in page


def test_the_headline_says_only_what_the_numbers_say():
    def scored(auroc, **changes):
        return report_data(result={"score": SCORE | {"auroc": auroc}, "d_br": None}, **changes)

    assert headline(report_data()) == "Backdoor found: AUROC 0.998; D-BR leaves ASR 0.3\xa0% at ACC 92.0\xa0%"
    assert headline(scored(0.8)) == "Backdoor partly found: AUROC 0.800"
    assert headline(scored(0.55)) == "Backdoor not found: AUROC 0.550"
    none, every = scored(None, poisoned=np.zeros(200, bool)), scored(None, poisoned=np.ones(200, bool))
    assert headline(none).startswith("No sample is poisoned") and "ROC curve" not in render(none)
    assert headline(every).startswith("Every sample is poisoned") and "ROC curve" not in render(every)
    assert headline(scored(0.5, scores=np.zeros(200))) == "Not assessable: all scores are equal"


@pytest.mark.parametrize(
    "scores",
    [
        [0.0] * 20,
        [1e20] * 20,
        [2.0],
        [1.0, 1.0 + 2**-52],
        [0.0] * 19 + [3.0],
        [0.0, 5e-324],
        [0.0, 1e-300, 1e-12, 1.0, 1e30],
        [-1.0, 5.0],
        [-1e38, 1e38],
        np.arange(20.0),
        np.geomspace(1e-3, 1e3, 20),
    ],
)
def test_a_histogram_is_drawn_of_any_finite_scores_and_every_score_is_in_it(scores):
    scores = np.asarray(scores, dtype=np.float64)
    edges, _ = figures._bins(scores)
    assert np.isfinite(edges).all() and (np.diff(edges) > 0).all()
    assert np.histogram(scores, edges)[0].sum() == len(scores)
    assert "<svg" in figures.score_histogram(scores, scores > scores.mean(), scores.min(), scores.max())


def test_zero_scores_have_a_bin_of_their_own_on_a_logarithmic_axis():
    scores = np.array([0.0, 0.0, 0.0, 1e-6, 1.0])
    edges, linear_until = figures._bins(scores)
    assert linear_until == 1e-6 and np.histogram(scores, edges)[0][0] == 3


@pytest.mark.parametrize("weak", [True, False, None])
def test_a_weak_attack_and_no_other_is_noted_at_the_head_of_the_page(weak):
    head, _, rest = render(report_data(result={"weak_attack": weak})).partition("<h2>Models</h2>")
    said = f"The backdoored model's ASR is under {100 * WEAK_ASR:g} %, which the paper's tables leave out."
    assert (said in head) is (weak is True) and "Weak attack" not in rest


def test_a_thousand_classes_and_a_run_without_models_rounds_or_suspects_have_a_page():
    data = report_data(
        result={"backdoored": None, "d_br": None, "notes": [], "seconds": {}, "artifacts": {}},
        trusted_class_counts=[0] * 1000,
        class_names=("c",) * 1000,
        rounds=(),
        suspects=(),
        poisoned_examples=(),
    )
    assert "No model was evaluated" in render(data)


def test_a_png_data_uri_holds_the_very_pixels():
    pixels = image(1, 16)[:, ::-1]
    stored = Image.open(io.BytesIO(base64.b64decode(figures.png_uri(pixels).partition(",")[2])))
    assert stored.format == "PNG" and np.array_equal(np.asarray(stored), pixels)


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
    with pytest.raises(Refused):
        report_data(**changes)
