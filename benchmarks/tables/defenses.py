"""The table of what defenses keep of a backdoor, by attack and by split."""

from typing import Any

from benchmarks.defenses.__main__ import CHOSEN, PAPER
from benchmarks.documents import Table, load_results, percent
from ray_defense.attacks import ATTACKS

_SPLITS = {PAPER: "paper's split", CHOSEN: "chosen split"}
_DEFENSES = {"d_br": "D-BR", "d_st": "D-ST"}
_MISSING = "–"


def defenses_table() -> Table:
    """Returns a row an attack: the models that each split gives, and how good the splits are."""
    results: dict[str, dict[str, dict[str, Any]]] = {}  # by attack and recipe
    for stored in load_results("defenses/*.json").values():
        of_attack = results.setdefault(stored["attack"], {})
        of_attack[stored["result"]["recipe"]] = stored["result"]
    head = ["attack", "n", "undefended"]
    for split in _SPLITS.values():
        for title in _DEFENSES.values():
            head.append(f"{title}, {split}")
    head += [
        "paper's split: poisoned among the flagged",
        "chosen split: verdict, poisoned among the flagged",
    ]
    rows = []
    for attack in ATTACKS:
        if attack in results:
            rows.append(_attack_row(attack, results[attack]))
    return Table(head, rows)


def _attack_row(attack: str, of_recipes: dict[str, dict[str, Any]]) -> list[str]:
    measured = next(iter(of_recipes.values()))
    undefended = measured["models"]["backdoored"]
    first_cell = f"`{attack}`"
    if measured["weak_attack"]:
        first_cell += ", **weak attack**"
    cells = [first_cell, f"{undefended['num_clean']:,} / {undefended['num_triggered']:,}"]
    cells.append(_model_cell(undefended))
    for recipe in _SPLITS:
        for name in _DEFENSES:
            model = of_recipes[recipe]["models"][name] if recipe in of_recipes else None
            cells.append(_model_cell(model))
    cells.append(_split_cell(of_recipes.get(PAPER)))
    cells.append(_split_cell(of_recipes.get(CHOSEN)))
    return cells


def _model_cell(model: dict[str, Any] | None) -> str:
    """Returns ACC / ASR / accuracy of triggered images on their true label, and the relapse."""
    if model is None:
        return _MISSING
    rates = []
    for name in ("acc", "asr", "robust_acc"):
        rates.append(percent(model[name]))
    text = " / ".join(rates)
    relapse = model["relapse"]
    if relapse is not None:
        text += f"; relapse {percent(relapse['acc'])} / {percent(relapse['asr'])}"
    return text


def _split_cell(result: dict[str, Any] | None) -> str:
    """Returns the verdict, where the split gives one, and the precision of the flagged part."""
    if result is None:
        return _MISSING
    parts = []
    if result["verdict"] is not None:
        parts.append(result["verdict"])
    precision = result["score"]["flagged_precision"]
    if precision is not None:
        parts.append(f"{percent(precision)} %")
    return ", ".join(parts)
