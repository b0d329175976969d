"""Floor 2: the epoch loop, the schedules and the views of images that models are trained on."""
