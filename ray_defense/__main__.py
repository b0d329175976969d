"""`python -m ray_defense` is the command `ray-defense`.

Python puts the current directory first of what it imports from; it goes before anything beyond
the standard library is imported, since hostile data may lie there.
"""

import sys

from ray_defense.core.import_path import drop_current_directory

if __name__ == "__main__":
    drop_current_directory()
    from ray_defense.cli.main import main

    sys.exit(main())
