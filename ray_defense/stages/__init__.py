"""Floor 4: one file per arrow of the path from a source to a report; a stage is a Config and a run()."""
