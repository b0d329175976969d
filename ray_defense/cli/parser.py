"""A parser whose every refusal is one line that suggests the nearest known option."""

import argparse
from collections.abc import Sequence
from typing import NoReturn

from ray_defense.core.errors import InputError, unknown_name


class CommandParser(argparse.ArgumentParser):
    """An ArgumentParser that raises InputError instead of ending the process."""

    def __init__(self, command: str, description: str):
        super().__init__(
            prog=f"ray-defense {command}".rstrip(),
            description=description,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        text = " ".join(message.split()).rstrip(".")
        raise InputError(f"{text}: see {self.prog} --help")

    def parse_options(self, words: Sequence[str]) -> argparse.Namespace:
        """Returns the parsed options.

        Raises:
            InputError: For an unknown option, with the nearest known one, or a wrong value.
            SystemExit: After --help.
        """
        known = {name for name in self._option_string_actions if name.startswith("--")}
        for word in words:
            name = word.split("=")[0]
            if word.startswith("--") and name not in known:
                raise unknown_name("option", name, known)
        return self.parse_args(words)
