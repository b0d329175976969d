"""The numbers of a run as a table, and where its files are."""

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ray_defense.api import RESULT_FILE
from ray_defense.cli.output import print_named, stdout_console
from ray_defense.core.escape_unprintable import escape_unprintable
from ray_defense.defenses import DEFENSES
from ray_defense.reports.result import ModelResult, Result, ScoreResult
from ray_defense.stages.backdoored import BACKDOORED
from ray_defense.store.artifacts import store_directory

WEAK = "weak attack: the backdoored model's ASR is under 85 %, which the paper's tables leave out"
_ALWAYS_SHOWN = (BACKDOORED, "d_br", "d_st")
_MAX_CLASSES_SHOWN = 10


def print_result(result: Result, store: str) -> None:
    """Prints the table and, each on one line however long, where the files are."""
    console = stdout_console()
    console.print(run_table(result))
    print_named(console, "report.html", result.report)
    print_named(console, RESULT_FILE, store_directory(store) / RESULT_FILE)
    if result.verdict is not None:
        print_named(console, "verdict.json", Path(result.artifacts["split"], "verdict.json"))
    elif result.score.auroc is None:  # without a truth the flagged samples are all there is to see
        split = Path(result.artifacts["split"], "split.parquet")
        print_named(console, "candidates, not finds (split = flagged)", split)


def run_table(result: Result) -> RenderableType:
    """Returns the rates with 95 % intervals, the scores and the split, seconds, and notes."""
    title = (
        f"{escape_unprintable(result.recipe)}, seed {result.seed}; "
        "in brackets: 95 % Clopper-Pearson intervals"
    )
    parts: list[RenderableType] = [Text(title)]
    if result.verdict is not None:
        parts.append(Text(f"verdict: {result.verdict}", style="bold"))
    parts.extend((_models_table(result), _facts_table(result)))
    if result.weak_attack:
        parts.append(Text(WEAK, style="yellow"))
    return Group(*parts, *warning_lines(result.notes))


def warning_lines(notes: Sequence[str]) -> list[Text]:
    """Returns what a reader should doubt, a line each."""
    return [Text(f"warning: {escape_unprintable(note)}", style="yellow") for note in notes]


def _models_table(result: Result) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for title in ("model", "ACC", "ASR", "robust ACC"):
        table.add_column(title, no_wrap=True)
    for name in dict.fromkeys((*_ALWAYS_SHOWN, *result.models)):
        rates = result.models.get(name)
        table.add_row(_model_title(name, rates), *_rates(rates))
    return table


def _model_title(name: str, rates: ModelResult | None) -> str:
    if name == BACKDOORED:
        return name
    return rates.title if rates is not None else DEFENSES[name].title


def _facts_table(result: Result) -> Table:
    score = result.score
    seconds = []
    for stage, spent in result.seconds.items():
        seconds.append(f"{escape_unprintable(stage)} {spent:.1f}")
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_row("AUROC of the score", "n/a" if score.auroc is None else f"{score.auroc:.3f}")
    table.add_row("precision of the trusted split", _percent(score.trusted_precision))
    table.add_row("precision of the flagged split", _percent(score.flagged_precision))
    table.add_row("trusted samples a class", _balance(score))
    table.add_row("seconds", ", ".join(seconds))
    return table


def _rates(model: ModelResult | None) -> tuple[str, str, str]:
    if model is None:
        return "n/a", "n/a", "n/a"
    return (
        rate_with_interval(model.acc, model.acc_interval),
        rate_with_interval(model.asr, model.asr_interval),
        rate_with_interval(model.robust_acc, model.robust_acc_interval),
    )


def rate_with_interval(rate: float | None, interval: list[float] | None) -> str:
    """Returns a fraction in percent with its interval, `n/a` for None."""
    if rate is None or interval is None:
        return _percent(rate)
    low, high = interval
    return f"{_percent(rate)}  [{100 * low:.1f}, {100 * high:.1f}]"


def _percent(rate: float | None) -> str:
    return "n/a" if rate is None else f"{100 * rate:.1f} %"


def _balance(score: ScoreResult) -> str:
    counts = score.trusted_class_counts
    span = f"{min(counts)} to {max(counts)} in {len(counts)} classes"
    if len(counts) > _MAX_CLASSES_SHOWN:
        return span
    return f"{span}: {', '.join(map(str, counts))}"
