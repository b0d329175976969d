"""Training of models: the epoch loop, supervised epochs, views of images, rates, settings."""
