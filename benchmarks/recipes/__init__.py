"""Whole recipes as a user runs them: every number they find, and their wall time."""
