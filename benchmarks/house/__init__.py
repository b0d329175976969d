"""The house itself: how long commands take, and how the code is written, over checkouts."""

PARTS = ("checking_cost", "command_seconds", "code_counts", "same_bytes")
