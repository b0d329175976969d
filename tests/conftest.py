"""Settings of all tests: reproducible examples without a deadline, since the machine may be slow or shared."""

from hypothesis import settings

settings.register_profile("ray_defense", deadline=None, derandomize=True)
settings.load_profile("ray_defense")
