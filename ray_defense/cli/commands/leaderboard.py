"""`ray-defense leaderboard`: the runs of a folder as one page that sorts and filters."""

import argparse

from ray_defense.cli.parser import CommandParser


class LeaderboardCommand:
    """Writes the page and prints where it is."""

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument(
            "folder", metavar="DIR", help="holds runs/ of ray-defense reproduce, at any depth"
        )
        parser.add_argument("--out", metavar="FILE", help="the page; DIR/leaderboard.html")

    def execute(self, options: argparse.Namespace) -> int:
        from pathlib import Path

        from ray_defense.cli.output import print_named, stdout_console
        from ray_defense.studies.leaderboard import write_leaderboard

        folder = Path(options.folder)
        out = Path(options.out) if options.out else folder / "leaderboard.html"
        num_cells = write_leaderboard(folder, out)
        print_named(stdout_console(), f"{num_cells} runs", out)
        return 0


LEADERBOARD = LeaderboardCommand()
