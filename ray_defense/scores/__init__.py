"""Formulas that score samples, split them, and measure scores without truth or test set."""
