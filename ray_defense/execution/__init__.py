"""Where work runs: the two seams that keep Ray out of the algorithms, and their local side."""
