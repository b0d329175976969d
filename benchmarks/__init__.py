"""Studies of what the library costs and finds; `python -m benchmarks` lists them."""
