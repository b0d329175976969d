"""The names of the files that trained models leave."""

WEIGHTS = "model.safetensors"
