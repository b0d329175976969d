"""The arrows of the path from a source to a report: each file is a config and its step."""
