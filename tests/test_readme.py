"""What the README says runs as written."""

import importlib.util
import json
import re
import shlex
from pathlib import Path

import pytest
import torch
from PIL import Image

from ray_defense.attacks import ATTACKS
from ray_defense.cli.main import main
from ray_defense.cli.parser import parse
from ray_defense.data.sources import Digits
from ray_defense.reports.result import Result

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text()
COMMANDS = [shlex.split(line, comments=True) for line in re.findall(r"^    (\./run\.sh .*)$", TEXT, re.MULTILINE)]
BENCHMARKS = [shlex.split(line) for line in re.findall(r"^    (python benchmarks/.*)$", TEXT, re.MULTILINE)]
SNIPPETS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An image folder of 200 digits."""
    root = tmp_path_factory.mktemp("images")
    batch = Digits().read("train", 0, 200)
    for index, image, label in zip(batch.index, batch.images, batch.labels, strict=True):
        (root / str(label)).mkdir(exist_ok=True)
        Image.fromarray(image).save(root / str(label) / f"{index}.png")
    return root


def test_there_are_commands_to_check():
    assert len(COMMANDS) >= 9 and len(BENCHMARKS) >= 4 and len(SNIPPETS) == 3


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_is_one_the_command_line_takes(command, folder, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name, *rest = command[1:]
    if name == "attacks":
        _, options = parse(command[1:])
        for attack in getattr(options, "attacks", ()) or [getattr(options, "attack", "badnets")]:
            assert attack in ATTACKS
        return  # both run in tests/test_preview.py and tests/test_attack_check.py
    if name == "test":  # run.sh's own; tests/test_run_sh.py
        assert rest in ([], ["chaos"])
        return
    rest = [part.replace("DIR", str(folder)) for part in rest]
    extra = {"run": ["--print-config"], "demo": ["--print-config"], "sweep": ["--plan"]}.get(name, [])
    extra = [option for option in extra if option not in rest]
    assert main([name, *rest, *extra]) == 0
    if "--print-config" in extra:
        assert json.loads(capsys.readouterr().out)["seed"] == 0


@pytest.mark.parametrize("command", BENCHMARKS, ids=" ".join)
def test_every_benchmark_is_there_and_has_its_options(command):
    text = (ROOT / command[1]).read_text()
    assert all(f'"{option}"' in text for option in command if option.startswith("--"))


def test_the_tables_are_what_the_results_say(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    spec = importlib.util.spec_from_file_location("tables", ROOT / "benchmarks" / "tables.py")
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    assert tables.render(TEXT) == TEXT
    names = [path.stem.split("_small_")[1].removesuffix("_seed0") for path in (ROOT / "results").glob("attack_*.json")]
    assert all(f"<!-- {name}" in tables.attack_tables.FIGURE.read_text() for name in names if "-" not in name)
    assert TEXT.count("<!-- table:") == len(tables.TABLES) == TEXT.count("<!-- end -->")


def test_links_lead_somewhere():
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", TEXT) if "://" not in target]
    assert targets and all((ROOT / target).exists() for target in targets)


def test_own_images_end_as_a_list_of_suspicious_files(folder, tmp_path, monkeypatch, capsys):
    """The README's section on own images, with fewer epochs, in one process."""
    monkeypatch.chdir(tmp_path)
    (command,) = [command for command in COMMANDS if "folder" in command]
    arguments = [part.replace("DIR", str(folder)) for part in command[1:]]
    small = ["probe.epochs=2", "probe.intra_epochs=1", "backdoor.epochs=1", "d_br.rounds=1", "d_st.epochs=1"]
    small += ["d_st.classifier_epochs=1", "d_st.batch_size=64", "d_st.warmup_epochs=0"]
    sets = [part for pair in small for part in ("--set", pair)]
    assert main([*arguments, "--executor", "local", "--backend", "numpy", "--quiet", *sets]) == 0
    listing, loading = [text for text in SNIPPETS if "my-audit" in text]
    names: dict = {}
    exec(compile(listing, "README", "exec"), names)
    exec(compile(loading, "README", "exec"), names)
    assert names["model"](torch.zeros(1, 3, 32, 32))[1].shape == (1, 10)
    table = names["table"]
    assert table.num_rows == 200 and set(table["split"].to_pylist()) == {"trusted", "poisoned", "uncertain"}
    assert all((folder / origin).is_file() for origin in table["origin"].to_pylist())
    assert table["score"].to_pylist() == sorted(table["score"].to_pylist(), reverse=True)


def test_the_python_example_uses_names_that_a_result_has():
    (snippet,) = [text for text in SNIPPETS if "ray_defense.run" in text]
    compile(snippet, "README", "exec")
    for attribute in re.findall(r"result\.(\w+)", snippet):
        assert attribute in Result.__dataclass_fields__
