"""What every test runs under. Here stand only settings of the tools; fixtures live beside what they serve."""

import os

from hypothesis import HealthCheck, settings

# A shared machine, coverage and parallel workers make a deadline a coin toss. In CI the examples are always the same,
# so that a failure is the change's own; elsewhere they are new each time, and what they find is kept in .hypothesis.
settings.register_profile("here", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("here"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")
