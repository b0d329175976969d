"""The path of a run: its configuration, its plan, and running the plan."""
