"""Memory over the size of the dataset: driver, each role of Ray worker, object store."""

PARTS = ("scoring_process",)
