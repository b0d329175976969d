"""What Ray costs: a recipe on Ray over the same recipe in one process, start-up apart."""
