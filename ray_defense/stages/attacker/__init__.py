"""The attacker's means: what some attacks need is made here, once, and shared by sweeps."""
