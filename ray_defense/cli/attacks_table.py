"""The attacks checked as a table for a terminal of 80 columns or more."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ray_defense.cli.inert import inert
from ray_defense.cli.table import WEAK, rate
from ray_defense.pipeline.pipeline import Recipe
from ray_defense.studies.attack_strength import Checked


def render(recipe: Recipe, checked: Sequence[Checked]) -> RenderableType:
    """Returns for each attack its samples, ACC and ASR with 95 % intervals, the change in ACC, and what is to be said."""
    title = f"{inert(recipe.name)}, seed {recipe.seed}; in brackets: 95 % Clopper-Pearson intervals"
    parts: list[RenderableType] = [Text(title), _table(checked)]
    clean = next((row.clean for row in checked if row.clean is not None), None)
    if clean is not None:
        parts.append(Text(f"change: points of ACC against the clean model's {rate(clean.acc, clean.acc_interval)}"))
    if any(row.num_cover for row in checked):
        parts.append(Text("samples: poisoned + cover (triggered, label kept)"))
    if any(row.weak for row in checked):
        parts.append(Text(WEAK, style="yellow"))
    parts += [Text(f"{row.attack} refused: {inert(row.refused)}", style="yellow") for row in checked if row.refused is not None]
    return Group(*parts)


def _table(checked: Sequence[Checked]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("attack", no_wrap=True)
    table.add_column("paper", no_wrap=True)
    table.add_column("samples", no_wrap=True, justify="right")
    table.add_column("ACC")  # with too little room the interval, which has no space in it, goes to a line of its own
    table.add_column("ASR")
    table.add_column("change", no_wrap=True, justify="right")
    table.add_column("", no_wrap=True)
    for row in checked:
        table.add_row(row.attack, "yes" if row.in_paper else "no", *_numbers(row))
    return table


def _numbers(row: Checked) -> tuple[str, str, str, str, str]:
    model = row.backdoored
    if model is None:
        return "", "refused", "", "", ""
    samples = f"{row.num_poisoned}" + (f" + {row.num_cover}" if row.num_cover else "")
    change = "n/a" if row.acc_change is None else f"{100 * row.acc_change:+.1f}"
    acc, asr = (rate(*both).replace(", ", "–") for both in ((model.acc, model.acc_interval), (model.asr, model.asr_interval)))
    return samples, acc, asr, change, "weak" if row.weak else ""
