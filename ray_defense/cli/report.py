"""`ray-defense report`: the table and the report of a run that the store holds, and nothing computed besides."""

from ray_defense.cli.options import ReportOptions
from ray_defense.cli.prepare import configured, prepared
from ray_defense.cli.run import show
from ray_defense.store.artifacts import directory


def report(options: ReportOptions) -> int:
    """Writes report and result of a finished run and prints its table."""
    work = options.work
    with prepared(work, quiet=work.quiet):
        from ray_defense import api  # seconds: it loads torch

        result = api.report(configured(work), store=work.store)
    show(result, directory(work.store) / "result.json")
    return 0
