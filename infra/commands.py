"""The commands that work on a platform that is up, and those that work on the sources."""
