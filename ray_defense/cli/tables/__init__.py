"""The numbers of runs, attacks and sweeps as tables for a terminal of 80 columns or more."""
