"""Throughput of scoring on two warm actors, over the bare forward passes that it contains."""
