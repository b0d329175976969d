"""`python -m ray_defense` is the command `ray-defense`."""

import sys

from ray_defense.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
