"""The ground floor: errors, configuration, random streams, files, progress; NumPy alone."""
