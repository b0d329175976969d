"""Mutants of honest files, read by every reader of hostile data and of the store."""
