"""The offline report of an audit: the verdict in words, what it rests on, and what to do now.

One self-contained HTML page of less than 10 MB. A script that the page allows by its hash sorts,
filters and copies; without it nothing is missing.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from markupsafe import escape
from PIL import Image

from ray_defense.core.errors import InputError
from ray_defense.reports import figures
from ray_defense.reports.agreement import measure_agreement
from ray_defense.reports.class_counts import count_by_class
from ray_defense.reports.page_script import page_script
from ray_defense.reports.page_template import cut, format_percent, load_template, shown_bytes

MAX_PICTURES = 200  # samples shown with pictures
NUM_OPEN_PICTURES = 12  # of them, the others are folded
PICTURE_SIDE = 224  # pixels of the longer side of a picture, at most
MAX_NAMED_SUSPECTS = 3  # classes that the headline names
MAX_MAPS = 3  # maps of points
MAX_CONFIG = 50_000  # characters of the configuration

# What each part of the page may take, in bytes. Together they keep any page below 10 MB.
_PICTURE_BYTES = 5_000_000
_ROW_BYTES = 700_000  # the table of flagged samples
_NAME_BYTES = 1_000_000  # the list of their names, for copying
_LIST_BYTES = 300_000  # each list of classes, duplicates, rejected and converted files
_MARKUP_BYTES = 250  # of a row, around its texts

_FORMULA_STARTS = ("=", "+", "-", "@")  # what a spreadsheet or a shell would take for more

_Row = TypeVar("_Row")


@dataclass(frozen=True, eq=False)
class SamplePictures:
    """How one sample looks.

    Attributes:
        original: The picture as it lies in the data, uint8 [H, W, 3]; None where it has the working
            size already. The page shows it at 224 pixels: `shrink_picture` saves memory beforehand.
        working: The picture at the size that the networks saw, uint8 [S, S, 3].
        transformed: The working picture transformed, uint8 [S, S, 3]; None where no detector
            transforms it.
    """

    original: np.ndarray | None
    working: np.ndarray
    transformed: np.ndarray | None


@dataclass(frozen=True, eq=False)
class FlaggedSample:
    """A sample that is flagged; its fields are the columns of `audit.csv`.

    Attributes:
        file: Where it came from, relative to the data.
        class_name: The name of its label.
        index: Its position in the training split.
        rank: 1 is the most suspicious sample of all.
        score: Larger is more suspicious.
        p_value: In [0, 1]; None where no detector gives one.
        reasons: The detectors that flagged it, joined with "; ".
        duplicates: The number of its group of exact copies; None where it has no copy.
        pictures: None where it is listed without pictures.
    """

    file: str
    class_name: str
    index: int
    rank: int
    score: float
    p_value: float | None
    reasons: str
    duplicates: int | None
    pictures: SamplePictures | None


@dataclass(frozen=True, eq=False)
class PointMap:
    """Samples as points in the plane, such as principal components of their features.

    Attributes:
        title: What the plane is, such as "Principal components of the features".
        explanation: How to read it, in a sentence or two.
        points: float [M, 2], of all samples or of some.
        flagged: Which of them are flagged, bool [M].
    """

    title: str
    explanation: str
    points: np.ndarray
    flagged: np.ndarray


@dataclass(frozen=True)
class DuplicateGroup:
    """Exact copies of one picture.

    Attributes:
        number: As in the column `duplicates` of `audit.csv`.
        files: The file of each copy.
        class_names: The name of the label of each copy, in the same order.
    """

    number: int
    files: tuple[str, ...]
    class_names: tuple[str, ...]

    @property
    def has_one_class(self) -> bool:
        """Whether all copies have the same label."""
        return len(set(self.class_names)) == 1


@dataclass(frozen=True)
class FileNote:
    """What happened to a file when it was read.

    Attributes:
        file: Where it is, relative to the data.
        index: Its position in the training split; None where it has none.
        text: Why it was rejected, or how it was converted.
    """

    file: str
    index: int | None
    text: str


@dataclass(frozen=True)
class NextStep:
    """Something that the reader may want to do now.

    Attributes:
        purpose: What for, as a sentence.
        command: What to type, with the paths of this audit.
    """

    purpose: str
    command: str


@dataclass(frozen=True, eq=False)
class AuditPageData:
    """All that the page of an audit shows, of N accepted samples and C classes.

    Attributes:
        verdict: The content of `verdict.json`.
        notes: What the reader should doubt, a sentence each.
        class_names: The name of each class, [C].
        labels: int64 [N], each in [0, C), in the order of the samples.
        split: "trusted", "flagged" or "uncertain", str [N].
        columns: The columns of the evidence, float64 [N] by name, larger is more suspicious.
        column_questions: What a column asks of a sample, in a sentence, by its name; may lack some.
        flagged: All flagged samples by ascending rank, the first ones with pictures: no more than
            `MAX_PICTURES` are shown.
        transform: What was done to the transformed pictures, such as "mirror image".
        maps: Samples as points; none where features were not kept.
        duplicates: The groups of exact copies.
        rejected: Files that could not be read, and are no samples.
        conversions: Samples that were changed to become RGB pictures of 8 bits.
        num_junk: Files that were skipped because no picture is expected in them, `.DS_Store` say.
        next_steps: What to type now, the most useful first.
        choices: What was chosen from the data, such as {"size": "64 pixels: the median side is
            71"}.
        data_path: The data as the user named them.
        date: When the audit ended.
        command: What the user typed.
        seconds: How long it took; None where nobody measured it.
        fingerprints: What identifies the data and the artifacts, by name.
        versions: Of the software, by name.
        configuration: The recipe as plain data.
    """

    verdict: Mapping[str, Any]
    notes: tuple[str, ...]
    class_names: tuple[str, ...]
    labels: np.ndarray
    split: np.ndarray
    columns: Mapping[str, np.ndarray]
    column_questions: Mapping[str, str]
    flagged: tuple[FlaggedSample, ...]
    transform: str
    maps: tuple[PointMap, ...]
    duplicates: tuple[DuplicateGroup, ...]
    rejected: tuple[FileNote, ...]
    conversions: tuple[FileNote, ...]
    num_junk: int
    next_steps: tuple[NextStep, ...]
    choices: Mapping[str, str]
    data_path: str
    date: str
    command: str
    seconds: float | None
    fingerprints: Mapping[str, str]
    versions: Mapping[str, str]
    configuration: Mapping[str, Any]

    def __post_init__(self) -> None:
        num_samples = len(self.labels)
        lengths = {"split": len(self.split)}
        for name, values in self.columns.items():
            lengths[f"the column {cut(name)}"] = len(values)
        for name, length in lengths.items():
            if length != num_samples:
                raise InputError(
                    f"{name} has {length} rows for {num_samples} labels: give one for each sample"
                )
        num_classes = len(self.class_names)
        if num_samples and not 0 <= self.labels.min() <= self.labels.max() < num_classes:
            raise InputError(
                f"labels from {self.labels.min()} to {self.labels.max()} for {num_classes} "
                "class names: give a name for every label"
            )
        for label in self.verdict["labels_suspected"]:
            if label >= num_classes:
                raise InputError(
                    f"the verdict suspects the label {label}, and there are {num_classes} class "
                    "names: give the verdict on these data"
                )
        num_flagged = int((self.split == "flagged").sum())
        if num_flagged != len(self.flagged):
            raise InputError(
                f"{len(self.flagged)} flagged samples are described, and the split flags "
                f"{num_flagged}: describe each of them"
            )
        for point_map in self.maps:
            shape = point_map.points.shape
            if shape != (len(point_map.flagged), 2) or not np.isfinite(point_map.points).all():
                raise InputError(
                    f"the points of {cut(point_map.title)!r} have shape {list(shape)}: give two "
                    f"finite numbers for each of the {len(point_map.flagged)} samples"
                )


@dataclass(frozen=True)
class _Card:
    """A flagged sample with its pictures as data URIs, and how each of them is called."""

    sample: FlaggedSample
    pictures: tuple[tuple[str, str], ...]  # URI, caption
    exact: bool  # small enough to be shown pixel by pixel


@dataclass(frozen=True)
class _Listing:
    """The beginning of a list, as far as the page has room for it."""

    rows: tuple[Any, ...]
    num_left_out: int


def render_audit_page(data: AuditPageData) -> str:
    """Returns the HTML page of an audit.

    The same data give the same text. Every name in the data is shown as plain text, whatever
    characters it holds.
    """
    script, script_hash = page_script()
    is_flagged = data.split == "flagged"
    classes = _suspected_first(
        count_by_class(data.labels, is_flagged, data.class_names), data.verdict
    )
    cards = _make_cards(data)
    maps = []
    for point_map in data.maps[:MAX_MAPS]:
        maps.append((point_map, figures.draw_points(point_map.points, point_map.flagged)))
    paths = [_copyable_path(sample.file) for sample in data.flagged]
    config = json.dumps(data.configuration, indent=2)
    return load_template("audit.html.j2").render(
        data=data,
        verdict=data.verdict,
        headline=headline(data),
        limits=limits(data),
        planted=_count_canaries(data.verdict),
        classes=_listing(classes, lambda count: [cut(count.name)], _LIST_BYTES),
        suspected=_suspected_names(data),
        num_trusted=int((data.split == "trusted").sum()),
        cards=cards,
        num_open_cards=NUM_OPEN_PICTURES,
        rows=_listing(data.flagged, _flagged_texts, _ROW_BYTES),
        paths=_listing(paths, lambda path: [path], _NAME_BYTES, markup_bytes=1),
        agreement=measure_agreement(data.columns, int(is_flagged.sum())),
        maps=maps,
        duplicates=_list_duplicates(data.duplicates),
        rejected=_list_notes(data.rejected),
        rejected_counts=_count_texts(data.rejected),
        conversions=_list_notes(data.conversions),
        conversion_counts=_count_texts(data.conversions),
        config=escape(cut(config, MAX_CONFIG)),
        script=script,
        script_hash=script_hash,
    )


def headline(data: AuditPageData) -> str:
    """Returns the verdict in one sentence."""
    num_samples = f"{data.verdict['num_samples']:,}"
    outcome = data.verdict["verdict"]
    if outcome == "not assessable":
        return f"Not assessable: nobody can say whether these {num_samples} samples hold a backdoor"
    if outcome == "no evidence":
        return f"No evidence of a backdoor in {num_samples} samples"
    names = _suspected_names(data)
    if not names:
        place = "spread over the classes"
    elif len(names) == 1:
        place = f"in the class “{cut(names[0])}”"
    elif len(names) <= MAX_NAMED_SUSPECTS:
        quoted = [f"“{cut(name)}”" for name in names]
        place = f"in the classes {', '.join(quoted[:-1])} and {quoted[-1]}"
    else:
        place = f"in {len(names)} classes"
    num_flagged = f"{data.verdict['num_flagged']:,}"
    return f"Evidence of a backdoor {place}: {num_flagged} of {num_samples} samples are flagged"


def limits(data: AuditPageData) -> list[str]:
    """Returns what the verdict does not say, a sentence or two each."""
    verdict = data.verdict
    if verdict["verdict"] == "not assessable":
        return [
            "This is neither an all-clear nor a find: no detector could have given evidence.",
            *verdict["reasons"],
        ]
    sentences = []
    if verdict["verdict"] == "evidence":
        bounds = verdict["num_poisoned"]
        if bounds is not None:
            sentences.append(
                f"Of the flagged samples, {bounds['low']:,} to {bounds['high']:,} carry a "
                "trigger, at 95 % confidence."
            )
        rate = format_percent(verdict["false_discovery_rate"])
        sentences.append(
            f"Flagged is a guess: up to {rate} of the flagged may be clean on average, so look at "
            "the pictures before you remove any."
        )
        sentences.append(
            "Poisoned samples that look clean to every detector are not among the flagged."
        )
    else:
        sentences.append(
            "This is no proof that there is none: a trigger that these detectors cannot see, or "
            "one in too few samples, leaves no evidence."
        )
    sentences.append(_power_sentence(verdict))
    sentences += verdict["reasons"]
    return sentences


def shrink_picture(image: np.ndarray) -> np.ndarray:
    """Returns an image, uint8 [H, W, 3], at the size at which the page shows it.

    Its longer side has at most `PICTURE_SIDE` pixels afterwards; a smaller image stays as it is.
    """
    height, width = image.shape[:2]
    longer = max(height, width)
    if longer <= PICTURE_SIDE:
        return image
    size = (
        max(1, round(width * PICTURE_SIDE / longer)),
        max(1, round(height * PICTURE_SIDE / longer)),
    )
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


def _make_cards(data: AuditPageData) -> list[_Card]:
    """Returns the first flagged samples that have pictures, as many as the page has room for."""
    cards: list[_Card] = []
    num_bytes = 0
    for sample in data.flagged:
        if sample.pictures is None:
            continue
        card = _make_card(sample, sample.pictures, data.transform)
        num_bytes += _MARKUP_BYTES + _cost(_flagged_texts(sample))
        for uri, caption in card.pictures:
            num_bytes += len(uri) + _MARKUP_BYTES + 2 * shown_bytes(caption)
        if num_bytes > _PICTURE_BYTES or len(cards) == MAX_PICTURES:
            break
        cards.append(card)
    return cards


def _make_card(sample: FlaggedSample, pictures: SamplePictures, transform: str) -> _Card:
    working = shrink_picture(pictures.working)
    height, width = pictures.working.shape[:2]
    images = [(working, f"{width} × {height}")]
    if pictures.original is not None:
        original = shrink_picture(pictures.original)
        if not np.array_equal(original, working):
            images.insert(0, (original, "as received"))
    if pictures.transformed is not None:
        images.append((shrink_picture(pictures.transformed), cut(transform, 40)))
    shown = []
    for image, caption in images:
        shown.append((figures.thumbnail_uri(image), caption))
    exact = max(working.shape[:2]) < figures.MIN_PHOTOGRAPH
    return _Card(sample=sample, pictures=tuple(shown), exact=exact)


def _flagged_texts(sample: FlaggedSample) -> list[str]:
    return [cut(sample.file), cut(sample.class_name), cut(sample.reasons)]


def _list_duplicates(groups: Sequence[DuplicateGroup]) -> _Listing:
    """Returns the groups, those with several labels first: they cannot all be right."""
    ordered = sorted(groups, key=lambda group: (group.has_one_class, group.number))

    def texts_of(group: DuplicateGroup) -> list[str]:
        texts = []
        for file, class_name in zip(group.files, group.class_names, strict=True):
            texts += [cut(file), cut(class_name), " " * 40]  # blanks stand for the markup
        return texts

    return _listing(ordered, texts_of, _LIST_BYTES)


def _list_notes(notes: Sequence[FileNote]) -> _Listing:
    return _listing(notes, lambda note: [cut(note.file), cut(note.text)], _LIST_BYTES)


def _count_texts(notes: Sequence[FileNote]) -> list[tuple[str, int]]:
    """Returns the ten most frequent texts with their counts."""
    counts = Counter(cut(note.text) for note in notes)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:10]


def _listing(
    rows: Iterable[_Row],
    texts_of: Callable[[_Row], list[str]],
    max_bytes: int,
    markup_bytes: int = _MARKUP_BYTES,
) -> _Listing:
    """Returns the first rows, as far as their texts and their markup fit into some bytes."""
    all_rows = tuple(rows)
    num_bytes = 0
    num_shown = 0
    for row in all_rows:
        num_bytes += markup_bytes + _cost(texts_of(row))
        if num_bytes > max_bytes:
            break
        num_shown += 1
    return _Listing(all_rows[:num_shown], len(all_rows) - num_shown)


def _cost(texts: Iterable[str]) -> int:
    return sum(shown_bytes(text) for text in texts)


def _copyable_path(path: str) -> str:
    """Returns a path that is no formula in a spreadsheet and no option in a shell."""
    if path.startswith(_FORMULA_STARTS):
        return "./" + path
    return path


def _suspected_names(data: AuditPageData) -> list[str]:
    return [data.class_names[label] for label in data.verdict["labels_suspected"]]


def _suspected_first(classes: list[Any], verdict: Mapping[str, Any]) -> list[Any]:
    suspected = set(verdict["labels_suspected"])
    return sorted(classes, key=lambda count: count.label not in suspected)


@dataclass(frozen=True)
class _PlantedCanaries:
    """The canaries of all kinds together, of which some were planted."""

    num_planted: int
    num_found: int


def _count_canaries(verdict: Mapping[str, Any]) -> _PlantedCanaries | None:
    """Returns the counts of all canaries; None where none was planted."""
    num_planted = 0
    num_found = 0
    for canary in _planted_kinds(verdict):
        num_planted += canary["num_planted"]
        num_found += canary["num_found"]
    return _PlantedCanaries(num_planted, num_found) if num_planted else None


def _planted_kinds(verdict: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    power = verdict["power"] or {"canaries": []}
    return [canary for canary in power["canaries"] if canary["num_planted"]]


def _power_sentence(verdict: Mapping[str, Any]) -> str:
    """Returns what planted canaries say of the samples that nobody flagged."""
    planted = _count_canaries(verdict)
    if planted is None:
        return "How much the detectors would find in these images was not measured."
    kinds = _planted_kinds(verdict)
    least = min(kinds, key=lambda canary: canary["num_found"] / canary["num_planted"])
    sentence = (
        f"Of {planted.num_planted:,} triggers planted in copies of the data, "
        f"{planted.num_found:,} were found"
    )
    if len(kinds) == 1:
        return sentence + "."
    return (
        f"{sentence}; the kind that was found least is {cut(least['family'], 80)}, "
        f"{least['num_found']:,} of {least['num_planted']:,}."
    )
