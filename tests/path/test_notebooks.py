"""The notebooks run from the first cell to the last, on smaller settings, and end as they say."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import ray_defense
from tests.repo.documents import ROOT

NOTEBOOKS = ROOT / "docs" / "notebooks"
SMALL_RUN = {
    "probe.epochs": 2,
    "probe.intra_epochs": 1,
    "backdoored.epochs": 1,
    "backdoored.milestones": (),
    "d_br.rounds": 1,
    "d_st.epochs": 1,
    "d_st.warmup_epochs": 0,
    "d_st.classifier_epochs": 1,
}
SMALL_AUDIT = {
    "detect.mirror.training.model.width": 8,
    "detect.mirror.training.steps": 60,
    "detect.grow.training.model.width": 8,
    "detect.grow.training.steps": 100,
    "detect.grow.training.seeds_a_step": 32,
}


def cells_of(name: str) -> list[str]:
    notebook = json.loads((NOTEBOOKS / name).read_text())
    assert notebook["nbformat"] == 4
    cells = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []  # what a cell shows is made by whoever runs it
            cells.append("".join(cell["source"]))
    return cells


def run_cells(name: str) -> dict[str, Any]:
    """Runs the cells of a notebook in one namespace, and returns it."""
    names: dict[str, Any] = {}
    for number, cell in enumerate(cells_of(name)):
        exec(compile(cell, f"{name}, cell {number}", "exec"), names)
    return names


def test_the_quickstart_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = partial(ray_defense.run, overrides=SMALL_RUN)
    monkeypatch.setattr(ray_defense, "run", small, raising=False)
    names = run_cells("quickstart.ipynb")
    assert set(names["result"].models) == {"backdoored", "d_br", "d_st"}
    assert names["logits"].shape == (4, 10)
    assert Path(names["result"].report).is_file()


def test_the_audit_finds_what_it_planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = partial(ray_defense.audit, overrides=SMALL_AUDIT)
    monkeypatch.setattr(ray_defense, "audit", small, raising=False)
    names = run_cells("audit.ipynb")
    assert names["audit"].verdict == "evidence"
    assert len(names["found"]) > 0.7 * len(names["poisoned"])
    kept = list((tmp_path / "kept-images").rglob("*.png"))
    assert len(kept) == len(names["table"]) - len(names["audit"].flagged)


def test_every_notebook_is_run_by_a_test() -> None:
    assert {path.name for path in NOTEBOOKS.iterdir()} == {"quickstart.ipynb", "audit.ipynb"}
