"""A table or figure of the paper as a job: the arguments of `ray-defense reproduce`.

Run it by `python`, or on a cluster by `ray job submit -- python`.
"""

import sys

from ray_defense.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["reproduce", *sys.argv[1:]]))
