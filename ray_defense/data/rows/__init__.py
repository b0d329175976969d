"""Rows of images and labels in files: their columns, their labels, and the classes of these."""
