"""The page on own images does what it says, on a folder of 200 digits."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from ray_defense.cli.main import main
from ray_defense.data.sources.digits import Digits
from tests.repo.documents import ROOT, Document

PAGE = Document(ROOT / "docs" / "own-images.md")
SMALL = {
    "probe.epochs": "2",
    "probe.intra_epochs": "1",
    "backdoored.epochs": "1",
    "d_br.rounds": "1",
    "d_st.epochs": "1",
    "d_st.classifier_epochs": "1",
    "d_st.batch_size": "64",
    "d_st.warmup_epochs": "0",
    "detect.mirror.training.steps": "4",
    "detect.fct_draws.draws": "2",
    "detect.grow.training.steps": "5",
}


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """A folder of 200 digits, one folder for each class."""
    folder = tmp_path / "images"
    batch = Digits().read("train", 0, 200)
    for index, image, label in zip(batch.index, batch.images, batch.labels, strict=True):
        class_folder = folder / str(label)
        class_folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(class_folder / f"{index}.png")
    return folder


def test_own_images_end_as_a_list_of_suspicious_files_and_a_model(
    image_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    commands = [command for command in PAGE.commands() if "s3://" not in command]
    assert [command.split()[1] for command in commands] == ["run", "detect"]
    for command in commands:
        words = [word.replace("DIR", str(image_folder)) for word in command.split()[1:]]
        words += ["--executor", "local", "--backend", "numpy", "--quiet"]
        for path, value in SMALL.items():
            words += ["--set", f"{path}={value}"]
        assert main(words) == 0
    assert capsys.readouterr().out.count("verdict: ") == 2
    names: dict[str, Any] = {}
    for snippet in PAGE.snippets():
        exec(compile(snippet, PAGE.name, "exec"), names)
    logits_BN = names["model"](torch.zeros(1, 3, 32, 32))
    assert logits_BN.shape == (1, 10)
    table = names["table"]
    assert table.num_rows == 200
    parts = set(table["split"].to_pylist())
    assert {"trusted", "uncertain"} <= parts <= {"trusted", "flagged", "uncertain"}
    assert all((image_folder / origin).is_file() for origin in table["origin"].to_pylist())
    scores = table["score"].to_pylist()
    assert scores == sorted(scores, reverse=True)
