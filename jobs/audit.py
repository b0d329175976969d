"""An audit as a job: the arguments of `ray-defense audit`.

Run it by `python`, or on a cluster by `ray job submit -- python`.
"""

import sys

from ray_defense.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["audit", *sys.argv[1:]]))
