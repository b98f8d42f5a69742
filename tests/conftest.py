"""Settings of all tests: property tests have no deadline, since machines share their cores."""

from hypothesis import settings

settings.register_profile("big_rad", deadline=None)
settings.load_profile("big_rad")
