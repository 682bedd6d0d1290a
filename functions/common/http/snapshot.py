"""Under SnapStart the memory of a function is kept as it is after its start, and every instance begins as a copy of it.

So what requests would import on first use is imported before, and what copies must not share is made anew after: the
state of `random`, which spreads retries. Nothing connects, reads a secret or draws an identifier that early; `secrets`
and `os.urandom` ask the system each time, and differ in each copy.
https://docs.aws.amazon.com/lambda/latest/dg/snapstart-uniqueness.html
"""

from collections.abc import Mapping

LATER = (
    "argon2",
    "boto3",
    "botocore.config",
    "cryptography.exceptions",
    "cryptography.hazmat.primitives.asymmetric.utils",
    "cryptography.hazmat.primitives.ciphers.aead",
    "jwt",
    "zxcvbn.frequency_lists",
)
"""Modules of others that functions import on first use; an artefact holds some of them."""


def prepare(environ: Mapping[str, str]) -> None:
    """To be called while a function starts. Does nothing where no snapshot is taken."""
    if environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") != "snap-start":
        return
    import importlib
    import random

    hooks = importlib.import_module("snapshot_restore_py")  # part of Lambda's Python; nowhere else needed
    hooks.register_before_snapshot(import_everything)
    hooks.register_after_restore(random.seed)


def import_everything() -> None:
    """All of the artefact, which holds nothing but what its functions can load (infra/artefacts.py)."""
    import importlib
    import importlib.util
    import pkgutil

    import functions

    for module in pkgutil.walk_packages(functions.__path__, "functions."):
        importlib.import_module(module.name)
    for name in LATER:
        if importlib.util.find_spec(name.partition(".")[0]):
            importlib.import_module(name)
