"""Floor 0: types, errors, random streams, configuration, the store, the seams to Ray, the sealed truth."""
