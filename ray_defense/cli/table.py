"""The numbers of a run as a table for a terminal of 80 columns or more."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ray_defense.cli.inert import inert
from ray_defense.reports.result import ModelResult, Result, ScoreResult

WEAK = "weak attack: the backdoored model's ASR is under 85 %, which the paper's tables leave out"
_MOST_CLASSES_SHOWN = 10


def render(result: Result) -> RenderableType:
    """Returns ACC and ASR with 95 % intervals, the score and its splits, seconds a stage, and the notes."""
    title = Text(f"{inert(result.recipe)}, seed {result.seed}; in brackets: 95 % Clopper-Pearson intervals")
    parts: list[RenderableType] = [title, _models(result), _facts(result)]
    if result.weak_attack:
        parts.append(Text(WEAK, style="yellow"))
    return Group(*parts, *warnings(result.notes))


def warnings(notes: Sequence[str]) -> list[Text]:
    """Returns what a reader should doubt, a line each."""
    return [Text(f"warning: {inert(note)}", style="yellow") for note in notes]


def _models(result: Result) -> Table:
    table = Table(box=SIMPLE_HEAD)
    table.add_column("model", no_wrap=True)
    table.add_column("ACC", no_wrap=True)
    table.add_column("ASR", no_wrap=True)
    models = {"backdoored": result.backdoored, "D-BR": result.d_br, "D-ST": result.d_st}
    for name, model in models.items():
        table.add_row(name, *_rates(model))
    return table


def _facts(result: Result) -> Table:
    score = result.score
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_row("AUROC of the score", "n/a" if score.auroc is None else f"{score.auroc:.3f}")
    table.add_row("precision of the trusted split", _percent(score.trusted_precision))
    table.add_row("precision of the poisoned split", _percent(score.poisoned_precision))
    table.add_row("trusted samples a class", _balance(score))
    table.add_row("seconds", ", ".join(f"{inert(stage)} {spent:.1f}" for stage, spent in result.seconds.items()))
    return table


def _rates(model: ModelResult | None) -> tuple[str, str]:
    if model is None:
        return "n/a", "n/a"
    return rate(model.acc, model.acc_interval), rate(model.asr, model.asr_interval)


def rate(value: float | None, interval: list[float] | None) -> str:
    """Returns a fraction in percent with its interval, `n/a` for None."""
    if value is None or interval is None:
        return _percent(value)
    low, high = interval
    return f"{_percent(value)}  [{100 * low:.1f}, {100 * high:.1f}]"


def _percent(rate: float | None) -> str:
    return "n/a" if rate is None else f"{100 * rate:.1f} %"


def _balance(score: ScoreResult) -> str:
    counts = score.trusted_class_counts
    span = f"{min(counts)} to {max(counts)} in {len(counts)} classes"
    return f"{span}: {', '.join(map(str, counts))}" if len(counts) <= _MOST_CLASSES_SHOWN else span
