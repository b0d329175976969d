"""The cost of a sweep: 36 pairs of transforms, over the probe and the passes that they need."""
