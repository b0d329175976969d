"""Every command, name, link and snippet of the documents is true."""

import ast
import dataclasses
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from ray_defense.attacks import ATTACKS
from ray_defense.cli.commands import COMMANDS
from ray_defense.cli.main import command_parser, main, parse_command_line
from ray_defense.core.config import override
from ray_defense.core.errors import InputError
from ray_defense.data.sources import SOURCES
from ray_defense.defenses import DEFENSES
from ray_defense.detectors import DETECTORS
from ray_defense.detectors.decision import DECISIONS
from ray_defense.models import MODELS
from ray_defense.pipeline.recipes import named_recipe
from ray_defense.reports.metrics import METRICS
from ray_defense.reports.result import Result
from ray_defense.transforms import AUGMENTATIONS, TRANSFORMS
from tests.repo.documents import DOCUMENTS, ROOT, Document

GENERATED = "docs/cli.md"
PLACEHOLDERS = {
    *("DIR", "FILE", "NAME", "N", "K", "KEY", "VALUE", "COMMAND", "PLACE", "PATH", "ID", "STAGE"),
    *("METRIC", "RECIPE", "ATTACK", "ATTACKS", "X", "AUDIT", "STORE", "RUN", "OTHER"),
}
SHELL_LINES = (
    ". .venv/bin/activate",
    "export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0",
    "(umask 077; ray get-auth-token --generate >/dev/null)",
    "pre-commit install",
    "sleep 60",
)
RAY_COMMANDS = ("start", "stop", "job")
FILE_ENDINGS = (
    ".py",
    ".md",
    ".json",
    ".yaml",
    ".parquet",
    ".html",
    ".safetensors",
    ".toml",
    ".csv",
)
MAX_README_LINES = 150
MAX_CONTRIBUTING_LINES = 60


def all_commands() -> list[tuple[str, str]]:
    """Returns each command of the documents with the name of its page."""
    listed = []
    for document in DOCUMENTS:
        if document.name == GENERATED:
            continue
        for command in document.commands():
            listed.append((document.name, command))
        for span in document.spans():
            if is_command(span):
                listed.append((document.name, span))
    return listed


def is_command(span: str) -> bool:
    """Returns whether an inline code is a whole command."""
    starts = ("./run.sh ", "python ", "pip ", "ray ", "ray-defense ")
    return span.startswith(starts) or span in SHELL_LINES


def all_spans() -> list[tuple[Document, str]]:
    """Returns each inline code of the documents that is no command."""
    listed = []
    for document in DOCUMENTS:
        for span in document.spans():
            if not is_command(span):
                listed.append((document, span))
    return listed


@lru_cache
def source_text() -> str:
    """Returns all code and configuration of the repository but its tests."""
    texts = []
    for pattern in (
        "ray_defense/**/*.py",
        "ray_defense/**/*.j2",
        "jobs/*.py",
        "benchmarks/**/*.py",
    ):
        for path in sorted(ROOT.glob(pattern)):
            texts.append(path.read_text())
    for name in ("run.sh", "pyproject.toml", "cluster.yaml", ".rayignore"):
        texts.append((ROOT / name).read_text())
    for path in sorted((ROOT / "deploy").iterdir()):
        if path.suffix != ".md":
            texts.append(path.read_text())
    return "\n".join(texts)


@lru_cache
def vocabulary() -> frozenset[str]:
    """Returns the words of the source."""
    return frozenset(re.findall(r"\w+", source_text())) | frozenset(METRICS)


def dataclasses_below(value: Any) -> Iterator[Any]:
    """Yields a configuration and all configurations in it."""
    if isinstance(value, tuple):
        for item in value:
            yield from dataclasses_below(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield value
        for field in dataclasses.fields(value):
            yield from dataclasses_below(getattr(value, field.name))


@lru_cache
def settings() -> frozenset[str]:
    """Returns the names of all fields and units that a path of `--set` may be made of."""
    configs: list[Any] = [named_recipe("digits_badnets")]
    registries = (
        ATTACKS,
        TRANSFORMS,
        AUGMENTATIONS,
        DETECTORS,
        DECISIONS,
        DEFENSES,
        MODELS,
        SOURCES,
    )
    for registry in registries:
        for name in registry:
            configs.append(registry[name]())
    names = set()
    for config in configs:
        for unit in dataclasses_below(config):
            names.add(getattr(unit, "name", None))
            for field in dataclasses.fields(unit):
                names.add(field.name)
    return frozenset(name for name in names if isinstance(name, str))


def check_package_command(words: list[str], tmp_path: Path) -> None:
    """Runs a command of ray-defense as far as it costs nothing."""
    words = [word.replace("DIR", str(tmp_path)) for word in words]
    name, options = parse_name(words)
    if name == "run" or name == "demo":
        if options.store.startswith("s3://"):
            return
        assert main([*words, *([] if options.print_config else ["--print-config"])]) == 0
    elif name == "sweep":
        assert main([*words, *([] if options.plan else ["--plan"])]) == 0
    elif name == "attacks preview":
        assert options.attack in ATTACKS


def parse_name(words: list[str]) -> tuple[str, Any]:
    """Returns the name of the command and its options."""
    _, options = parse_command_line(words)
    name = " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else words[0]
    return name, options


def check_command(command: str, tmp_path: Path) -> None:
    """Raises if a command of a document is no command."""
    if command in SHELL_LINES:
        return
    words = shlex.split(command)
    while re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    if words[0] == "ray" and "--" in words:
        words = words[words.index("--") + 1 :]
    if words[0] in ("./run.sh", "ray-defense"):
        check_run_sh(words[1:], tmp_path)
    elif words[0] == "ray":
        assert words[1] in RAY_COMMANDS
    elif words[0] == "pip":
        check_pip(words)
    elif words[:2] == ["python", "-m"]:
        check_module(words[2], words[3:])
    elif words[0] == "python":
        script = ROOT / words[1]
        assert script.is_file()
        if script.parent.name == "jobs":
            job = "run" if script.stem == "pipeline" else script.stem
            parse_command_line([job, *words[2:]])
    else:
        raise AssertionError(f"{command!r} is of no known kind")


def check_run_sh(words: list[str], tmp_path: Path) -> None:
    """Raises if the words after `./run.sh` are none that it takes."""
    if words[0] == "COMMAND":
        return
    if words[0] in ("test", "check"):
        for word in words[1:]:
            assert word in ("chaos", "fuzz") or (ROOT / word).exists()
        return
    check_package_command(words, tmp_path)


def check_pip(words: list[str]) -> None:
    """Raises if a command installs, or fetches, an extra that does not exist."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert words[1] in ("install", "download")
    for extra in re.findall(r"\[(.*?)\]", " ".join(words)):
        for name in extra.split(","):
            assert name in project["optional-dependencies"]


def check_module(name: str, options: list[str]) -> None:
    """Raises if `python -m` names no module, or an option that it does not have."""
    if name == "pytest":
        return
    spec = importlib.util.find_spec(name)
    assert spec is not None
    if spec.submodule_search_locations is not None:
        assert importlib.util.find_spec(f"{name}.__main__") is not None
    for option in options:
        if option.startswith("--"):
            assert option in source_text()


@pytest.mark.parametrize(("page", "command"), all_commands())
def test_every_command_of_the_documents_can_be_typed(
    page: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT)
    check_command(command, tmp_path)


def test_a_command_that_does_not_exist_is_caught(tmp_path: Path) -> None:
    for command in (
        "./run.sh runn digits_badnets",
        "./run.sh run digits_badnets --set probe.epoch=3",
        "./run.sh sweep digits_badnets --grid split.poison_fraction=0.1",
        "./run.sh test tests/nowhere",
        "python jobs/shard.py digits_badnets",
        "python -m benchmarks.nothing",
        "pip install '.[gpu]'",
        "make",
    ):
        try:
            check_command(command, tmp_path)
        except (AssertionError, InputError, ModuleNotFoundError):
            continue
        pytest.fail(f"{command!r} passes")


def check_span(document: Document, span: str) -> None:
    """Raises if an inline code of a page names what is not there."""
    if span.startswith(("<", "~", "...", "!")) or span in PLACEHOLDERS or is_hash(span):
        return
    if is_path(span):
        check_path(document, span)
        return
    own_words = set(re.findall(r"\w+", "\n".join(document.snippets())))
    known = vocabulary() | own_words | PLACEHOLDERS
    for option in re.findall(r"--[a-z][a-z-]*", span):
        assert option in known_options(), option
    setting = re.fullmatch(r"(?:--set )?([a-z_]+(?:\.[a-z_]+)+)(?:=(\S+))?", span)
    if setting is not None and not setting[1].startswith(("ray_defense", "ray.", "dataclasses.")):
        check_setting(setting[1], setting[2], own_words)
        return
    variable = re.fullmatch(r"([A-Z_]+)=\S+", span)
    for word in re.findall(r"[A-Za-z_]\w*", span if variable is None else variable[1]):
        assert word in known, word


def is_hash(span: str) -> bool:
    """Returns whether an inline code is a number, or the head of a SHA-256."""
    return re.fullmatch(r"[0-9a-f]{8,64}|[0-9]+", span) is not None


def check_setting(path: str, value: str | None, own_words: set[str]) -> None:
    """Raises if a path of `--set`, or of `--asha`, names no field."""
    stage, _, metric = path.partition(".")
    if value is None and metric in ("loss", "accuracy", "contrastive_loss"):
        parse_command_line(["sweep", "digits_badnets", "--asha", path])
        return
    for part in path.split("."):
        assert part in settings() | own_words, part
    words = set(re.findall(r"\w+", f"{path} {value}"))
    if value is None or words & (PLACEHOLDERS | own_words) or value == "all-pairs":
        return
    errors = []
    for attack in ATTACKS:
        recipe = override(named_recipe("digits_badnets"), "attack", attack)
        recipe = override(recipe, "defenses", tuple(DEFENSES))
        try:
            override(recipe, path, value)
        except InputError as error:
            errors.append(error)
    assert len(errors) < len(ATTACKS), errors


def is_path(span: str) -> bool:
    """Returns whether an inline code looks like a path."""
    if (ROOT / span).is_file():
        return True
    looks_like_one = "/" in span or span.endswith(FILE_ENDINGS)
    return looks_like_one and re.fullmatch(r"[\w.*/-]+", span) is not None


def check_path(document: Document, span: str) -> None:
    """Raises if a path is neither in the repository nor written by the package."""
    for folder in (ROOT, ROOT / "ray_defense", document.path.parent, ROOT / "jobs"):
        if list(folder.glob(span.strip("/"))):
            return
    own_text = "\n".join(document.snippets())
    name = span.strip("/").split("/")[-1]
    results = list((ROOT / "results").rglob(name)) + list((ROOT / "deploy").glob(name))
    assert results or name in source_text() or name in own_text or is_named(document, span), span


def is_named(document: Document, span: str) -> bool:
    """Returns whether a page tells the reader to write a file of that path."""
    return f"The file `{span}`:" in document.text


@lru_cache
def known_options() -> frozenset[str]:
    """Returns the options of all commands."""
    options = set()
    for name in COMMANDS:
        options.update(command_parser(name, COMMANDS[name].load())._option_string_actions)
    return frozenset(options)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_name_in_inline_code_exists(document: Document) -> None:
    wrong = []
    for page, span in all_spans():
        if page != document:
            continue
        try:
            check_span(document, span)
        except Exception as error:
            wrong.append(f"`{span}`: {error}")
    assert wrong == []


def test_a_name_that_does_not_exist_is_caught() -> None:
    (document,) = [page for page in DOCUMENTS if page.name == "docs/glossary.md"]
    for span in (
        "split.clean_fraction",
        "d_br.rounds=many",
        "ray_defense/stages/shard.py",
        "poisoned.parquet",
        "--set score.tau=rotate",
        "--dry-run",
        "run_defended",
        "probe.los",
    ):
        try:
            check_span(document, span)
        except (AssertionError, InputError):
            continue
        pytest.fail(f"`{span}` passes")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_lead_somewhere(document: Document) -> None:
    for target in document.links():
        assert (document.path.parent / target).exists(), target


def all_snippets() -> list[tuple[str, str]]:
    """Returns each Python block with the name of its page."""
    listed = []
    for document in DOCUMENTS:
        for snippet in document.snippets():
            if not snippet.startswith(" "):  # a line of a registry
                listed.append((document.name, snippet))
    return listed


@pytest.mark.parametrize(("page", "snippet"), all_snippets())
def test_snippets_import_what_exists(page: str, snippet: str) -> None:
    for node in ast.walk(ast.parse(snippet)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("ray_defense"):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name)


@pytest.mark.parametrize(("page", "snippet"), all_snippets())
def test_snippets_use_names_that_a_result_has(page: str, snippet: str) -> None:
    for node in ast.walk(ast.parse(snippet)):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "result":
            assert hasattr(Result, node.attr) or node.attr in Result.__dataclass_fields__


def test_the_readme_and_the_guide_for_contributors_stay_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= MAX_README_LINES
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) < MAX_CONTRIBUTING_LINES


def test_the_readme_names_every_unit_that_is_supported() -> None:
    readme = DOCUMENTS[0].spans()
    for registry in (ATTACKS, DETECTORS, DEFENSES, SOURCES, MODELS):
        assert set(registry) <= set(readme)


def test_the_readme_spells_out_fct_acc_and_asr_where_they_first_stand() -> None:
    readme = (ROOT / "README.md").read_text()
    for short, spelled in (
        ("FCT", "feature consistency towards transformations (FCT)"),
        ("ACC", "accuracy on clean test images (ACC)"),
        ("ASR", "attack success\nrate (ASR)"),
    ):
        assert readme.index(spelled) + len(spelled) - len(f"{short})") == readme.index(short)


def test_the_page_of_commands_is_what_the_parsers_say() -> None:
    spec = importlib.util.spec_from_file_location("write_cli", ROOT / "docs" / "write_cli.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "cli.md").read_text() == module.command_page()


def test_the_schema_of_a_result_is_a_schema() -> None:
    import jsonschema

    schema = json.loads((ROOT / "docs" / "result.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert set(schema["properties"]) == set(Result.__dataclass_fields__)


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    build = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert build.returncode == 0, build.stderr
    assert (tmp_path / "site" / "extending" / "index.html").is_file()
