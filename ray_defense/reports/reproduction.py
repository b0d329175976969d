"""A reproduced table: our cells beside the paper's, as Markdown and as a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ray_defense.reports.page_script import page_script
from ray_defense.reports.page_template import load_template

_DASH = "–"


@dataclass(frozen=True)
class Rate:
    """A rate in percent over seeds."""

    mean: float
    least: float
    most: float

    def __str__(self) -> str:
        if self.most - self.least < 0.05:
            return f"{self.mean:.1f}"
        return f"{self.mean:.1f} ({self.least:.1f}–{self.most:.1f})"


@dataclass(frozen=True)
class ReproducedCell:
    """What one attack and one column gave."""

    recipe: str
    attack: str
    column: str  # a model, or the value of what is varied
    model: str  # its title; "" where only scores are shown
    needs: str  # what the defense needs beside the poisoned data
    num_seeds: int  # that are finished
    acc: Rate | None
    asr: Rate | None
    robust_acc: Rate | None  # of triggered images, on their true labels
    weak_attack: bool  # in any of the seeds
    paper: tuple[float, float] | None = None  # ACC and ASR
    scores: Mapping[str, float] = field(default_factory=dict)  # means of AUROC and precisions
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """What is drawn of the first seed of one attack and one column."""

    title: str
    svg: str


@dataclass(frozen=True)
class ReproducedTable:
    """All cells of a table or figure."""

    name: str
    shows: str
    scale: str
    num_trials: int
    num_missing: int  # trials without a result
    cells: Sequence[ReproducedCell]
    command: str
    pictures: Sequence[Picture] = ()


_HEADINGS = (
    "attack",
    "column",
    "model",
    "recipe",
    "needs",
    "n",
    "ACC %",
    "ASR %",
    "true-label ACC %",
    "paper's ACC / ASR",
    "AUROC",
    "precision trusted / flagged",
    "note",
)


def cell_texts(cell: ReproducedCell) -> list[str]:
    """Returns what a row of the table shows of a cell, in the order of its headings."""
    paper = _DASH if cell.paper is None else f"{cell.paper[0]:.2f} / {cell.paper[1]:.2f}"
    notes = [note for note in ("weak attack" if cell.weak_attack else "", cell.note) if note]
    precisions = [cell.scores.get(name) for name in ("trusted_precision", "flagged_precision")]
    auroc = cell.scores.get("auroc")
    return [
        cell.attack,
        cell.column,
        cell.model,
        cell.recipe,
        cell.needs,
        str(cell.num_seeds),
        _shown(cell.acc),
        _shown(cell.asr),
        _shown(cell.robust_acc),
        paper,
        _DASH if auroc is None else f"{auroc:.4f}",
        " / ".join(_DASH if value is None else f"{value:.3f}" for value in precisions),
        "; ".join(notes),
    ]


def _shown(rate: Rate | None) -> str:
    return _DASH if rate is None else str(rate)


def render_markdown(table: ReproducedTable) -> str:
    """Returns the table as Markdown; numbers over several seeds are mean (least–most)."""
    lines = [f"# {table.shows}", "", _described(table), ""]
    lines.append("| " + " | ".join(_HEADINGS) + " |")
    lines.append("| " + " | ".join("---" for _ in _HEADINGS) + " |")
    for cell in table.cells:
        lines.append("| " + " | ".join(cell_texts(cell)) + " |")
    lines.extend(("", f"    {table.command}", ""))
    return "\n".join(lines)


def render_page(table: ReproducedTable) -> str:
    """Returns the table as an offline page that sorts and filters; it is readable without."""
    script, script_hash = page_script()
    return load_template("reproduction.html.j2").render(
        table=table,
        described=_described(table),
        headings=_HEADINGS,
        rows=[cell_texts(cell) for cell in table.cells],
        script=script,
        script_hash=script_hash,
    )


def _described(table: ReproducedTable) -> str:
    text = (
        f"{table.num_trials - table.num_missing} of {table.num_trials} runs at the scale "
        f"{table.scale}. ACC is the accuracy on the whole test set, ASR the share of triggered "
        "test images that get the attacker's label; both in percent, mean (least–most) over the n "
        "seeds. The true-label ACC is that of triggered images. An attack is weak where it "
        "reached less than 85 % without a defense."
    )
    if table.scale != "paper":
        text += " The paper's numbers are from larger networks, more data and more epochs."
    return text
