"""Build, local start and stop, deploy, migrate, seed: `python -m infra <command>`, one command per make target."""
