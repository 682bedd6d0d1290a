"""For all tests: property tests are not timed, because machines are shared."""

from hypothesis import settings

settings.register_profile("untimed", settings.default, deadline=None)
settings.load_profile("untimed")
