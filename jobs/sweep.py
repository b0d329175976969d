"""A sweep as a job: the arguments of `ray-defense sweep`, for `python` or `ray job submit -- python`."""

import sys

from ray_defense.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["sweep", *sys.argv[1:]]))
