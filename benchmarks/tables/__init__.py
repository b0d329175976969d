"""Writes docs/results.md: every table of measured results, and the figure of the attacks."""
