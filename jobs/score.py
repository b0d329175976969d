"""Scores and their split as a job: `ray-defense run` without the models that are not needed for them."""

import sys

from ray_defense.cli.main import main

WITHOUT = [f"--set={stage}=none" for stage in ("backdoor", "d_br", "d_st")]

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:], *WITHOUT]))
