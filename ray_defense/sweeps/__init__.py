"""Sweeps: many runs of one recipe in one table; what trials share is made once."""
