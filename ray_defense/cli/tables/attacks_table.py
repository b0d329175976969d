"""How strong attacks are, as a table."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ray_defense.cli.tables.run_table import WEAK, rate_with_interval
from ray_defense.core.escape_unprintable import escape_unprintable
from ray_defense.pipeline.recipe import Recipe
from ray_defense.studies.attack_strength import AttackStrength


def attacks_table(recipe: Recipe, rows: Sequence[AttackStrength]) -> RenderableType:
    """Returns, for each attack, its samples, ACC and ASR with 95 % intervals, and the change."""
    title = (
        f"{escape_unprintable(recipe.name)}, seed {recipe.seed}; "
        "in brackets: 95 % Clopper-Pearson intervals"
    )
    parts: list[RenderableType] = [Text(title), _table(rows)]
    clean = next((row.clean for row in rows if row.clean is not None), None)
    if clean is not None:
        rate = rate_with_interval(clean.acc, clean.acc_interval)
        parts.append(Text(f"change: points of ACC against the clean model's {rate}"))
    if any(row.num_cover for row in rows):
        parts.append(Text("samples: poisoned + cover (triggered, label kept)"))
    if any(row.weak for row in rows):
        parts.append(Text(WEAK, style="yellow"))
    for row in rows:
        if row.refused is not None:
            reason = escape_unprintable(row.refused)
            parts.append(Text(f"{row.attack} refused: {reason}", style="yellow"))
    return Group(*parts)


def _table(rows: Sequence[AttackStrength]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("attack", no_wrap=True)
    table.add_column("paper", no_wrap=True)
    table.add_column("samples", no_wrap=True, justify="right")
    # With too little room the interval, which has no space in it, goes to a line of its own.
    table.add_column("ACC")
    table.add_column("ASR")
    table.add_column("change", no_wrap=True, justify="right")
    table.add_column("", no_wrap=True)
    for row in rows:
        table.add_row(row.attack, "yes" if row.in_paper else "no", *_numbers(row))
    return table


def _numbers(row: AttackStrength) -> tuple[str, str, str, str, str]:
    model = row.backdoored
    if model is None:
        return "", "refused", "", "", ""
    samples = str(row.num_poisoned)
    if row.num_cover:
        samples += f" + {row.num_cover}"
    acc = rate_with_interval(model.acc, model.acc_interval).replace(", ", "–")
    asr = rate_with_interval(model.asr, model.asr_interval).replace(", ", "–")
    change = "n/a" if row.acc_change is None else f"{100 * row.acc_change:+.1f}"
    return samples, acc, asr, change, "weak" if row.weak else ""
