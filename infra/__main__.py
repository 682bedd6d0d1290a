"""`python -m infra <command>`."""

from infra import commands  # noqa: F401 - the commands beside those of infra.cli
from infra.cli import main

if __name__ == "__main__":
    main(prog_name="python -m infra")
