"""Files of the store are read through the readers that compare them with their records."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "ray_defense"
# Who may call what reads a file as it is. Users' own files are checked by their sources.
READERS = {
    "read_table": {"data/table_file.py", "data/suspect_dataset.py", "store/truth.py"},
    "ParquetFile": {"data/rows/parquet_rows.py", "exports/audit_folder.py"},
    "load": {
        "execution/checkpoint.py",
        "stages/attacker/picture.py",
        "stages/model_file.py",  # of a user
        "studies/score_trace.py",
    },
    "BetonFile": {"data/suspect_dataset.py"},
    # The readers themselves, lists of files, which are sealed, files of audits, and text that is
    # no file of ours.
    "loads": {
        "cluster/session.py",
        "core/files.py",
        "core/sealed.py",
        "data/sources/listing.py",
        "data/rows/parquet_schema.py",
        "data/sources/saved_dataset_files.py",
        "exports/audit_folder.py",
        "exports/finished_run.py",
        "pipeline/config_file.py",
        "store/checked_files.py",
        "store/locks.py",
        "studies/leaderboard.py",
    },
    # The readers themselves, and users' own archives, which have a checksum.
    "read_bytes": {
        "core/files.py",
        "core/sealed.py",
        "data/sources/archive.py",
        "store/artifacts.py",
        "store/checked_files.py",
        "store/verify.py",
    },
    # Progress, which is shown and nothing else.
    "read_json": {"cluster/written_progress.py"},
    "load_model": {
        "defenses/protocol.py",
        "detectors/clean_unlearning.py",
        "detectors/feature_scorer.py",
        "stages/agreement.py",  # of an artifact under way, before it is published
        "stages/feature_map.py",
        "stages/attacker/surrogate.py",
        "stages/model_rates.py",
        "stages/repaired.py",
        "stages/trained_model.py",
    },
    "load_weights": {
        "defenses/d_br_training.py",  # of a round that is published, and compared, right after
        "detectors/probe_training.py",
        "models/weights.py",
        "stages/attacker/ssba_encoder_training.py",
    },
}
METHODS = {"read_bytes"}  # whoever they are called on
# The modules that a call of a common name must be of.
OWNERS = {
    "load": {"np", "torch"},
    "loads": {"json"},
    "read_table": {"pq"},
    "ParquetFile": {"pq"},
}


def calls(tree: ast.AST) -> Iterator[tuple[str, str | None, ast.Call]]:
    """Yields the name of each call, and of the module that it is looked up in, if it is one."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name):
            yield node.func.id, None, node
        elif isinstance(node.func, ast.Attribute):
            owner = node.func.value
            yield node.func.attr, owner.id if isinstance(owner, ast.Name) else "", node


def readers_of(name: str) -> set[str]:
    """Returns the files of the package that call a reader."""
    files = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        for called, owner, _ in calls(ast.parse(path.read_text())):
            if called == name and (name in METHODS or owner in OWNERS.get(name, {None})):
                files.add(path.relative_to(PACKAGE).as_posix())
    return files


@pytest.mark.parametrize("name", READERS)
def test_files_are_read_as_they_are_only_where_that_is_checked(name: str):
    assert readers_of(name) == READERS[name]


@pytest.mark.parametrize("name", ["load_model", "load_weights", "load"])
def test_what_is_loaded_from_an_artifact_is_compared_with_its_record_first(name: str):
    unchecked = {"defenses/d_br_training.py", "models/weights.py"}
    for file in sorted(READERS[name] - unchecked):
        for called, owner, call in calls(ast.parse((PACKAGE / file).read_text())):
            if called == name and owner in OWNERS.get(name, {None}):
                argument = ast.unparse(call.args[0])
                assert "checked_file(" in argument or "BytesIO" in argument or argument == "content"
