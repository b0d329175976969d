"""SIGKILL of a process at work, its node and the driver at every stage: recovered, and the cost."""
