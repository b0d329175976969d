"""The commands for a person at a terminal; the only floor that prints; heavy imports wait until needed."""
