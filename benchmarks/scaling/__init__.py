"""A weak-scaling plan for 1 to 64 GPUs, on paper: what moves, and what saturates first."""

PARTS = ("constants",)
