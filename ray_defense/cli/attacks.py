"""`ray-defense attacks`: an attack as a picture, and attacks as a table of whether they work."""

from dataclasses import replace
from pathlib import Path

from ray_defense.cli.attacks_table import render
from ray_defense.cli.inert import inert
from ray_defense.cli.options import CheckOptions, PreviewOptions
from ray_defense.cli.output import say, stdout
from ray_defense.cli.prepare import configured, prepared, where
from ray_defense.core.errors import Refused
from ray_defense.core.files import write_bytes
from ray_defense.store.artifacts import directory


def preview(options: PreviewOptions) -> int:
    """Writes the contact sheet of one attack and prints its path; raises Refused where it could not be written."""
    work = options.work
    written = Path(options.output or f"{options.attack}.png").expanduser().resolve()
    with prepared(work, quiet=work.quiet):
        from ray_defense import api  # seconds: it loads torch

        config = configured(work, attack=options.attack, source=options.source)
        if written.is_dir() or not written.parent.is_dir():
            raise Refused(f"cannot write {written}: name a file in a folder that is there with --output")
        sheet = api.preview(config, **where(work))
        write_bytes(written, sheet)
    print(inert(written))
    return 0


def check(options: CheckOptions) -> int:
    """Prints the table of the attacks named, or of all; raises Refused after it if one of them was refused."""
    work = options.work
    with prepared(work, quiet=work.quiet):
        from ray_defense import api, attacks

        names = dict.fromkeys(options.attacks or attacks.ATTACKS)
        configs = [configured(work, attack=name) for name in names]
        recipe, chosen = replace(configs[0], attack=None), [config.attack for config in configs]
        checked = api.check(recipe, chosen, **where(work))
    console = stdout()
    console.print(render(recipe, checked))
    say(console, "attacks.json", directory(work.store) / "attacks.json")
    refused = [row.attack for row in checked if row.refused is not None]
    if refused:
        raise Refused(f"{len(refused)} of {len(checked)} attacks were refused, for the reasons above: {', '.join(refused)}")
    return 0
