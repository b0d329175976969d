"""The first minutes on a GPU: parity with the CPU, throughput, gaps, detection and repair."""

PARTS = ("pack",)  # further modules that `python -m` runs
