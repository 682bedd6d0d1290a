"""POST /auth/login through the app: beside one bare argon2id hash, and for an unknown e-mail beside a known one.

The tables and KMS are moto's, in this process: a login makes the same calls to them as on AWS, and a bare hash makes
none. A try for an unknown e-mail may take at most a tenth more or less than one with a wrong password (issue of the
front door); tries for the same known e-mail once more show this machine's noise.
"""

import json
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from unittest.mock import patch

import boto3
from argon2 import PasswordHasher
from moto import mock_aws

from functions.common import aws, logs
from functions.common.http.app import ServiceApp
from functions.user_service import app as user_app
from functions.user_service import bootstrap
from functions.user_service.model import Email, Preferences, User, UserId
from functions.user_service.session_table import SessionItem
from functions.user_service.settings import PasswordSettings
from functions.user_service.table import UserItem
from tests.bench.isolated import milliseconds, ratio
from tests.bench.printing import table
from tests.support.http import configure, jwks, request

TRIES, LOGINS, WARM_UP = 50, 20, 3
TOLERANCE = 0.10
EMAIL, PASSWORD = "ada@example.com", "correct horse battery staple"
UNLIMITED = 1_000_000
ENVIRONMENT = {
    "USERS_TABLE": "users", "SESSIONS_TABLE": "sessions", "RPC_BROKER": "lambda:none", "RPC_USERS": "lambda:none",
    "JWKS": jwks(), "ACCOUNT_FAILURES": str(UNLIMITED), "ADDRESS_FAILURES": str(UNLIMITED),
    "AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
}  # fmt: skip


def report() -> None:
    with _service() as app, Path(os.devnull).open("w") as nowhere:
        logs.configure("INFO", nowhere)
        _beside_a_hash(app)
        _unknown_beside_known(app)


@contextmanager
def _service() -> Iterator[ServiceApp]:
    """The app on empty tables with one user."""
    with mock_aws(), patch.dict(os.environ, ENVIRONMENT):
        os.environ.pop("AWS_ENDPOINT_URL", None)  # of the platform that make speaks to
        kms = boto3.client("kms")
        key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
        os.environ["SIGNING_KEY_ID"] = key["KeyMetadata"]["KeyId"]
        with patch.object(aws, "kms", lambda: kms):
            bootstrap.sessions()
            for model in (UserItem, SessionItem):
                model.create_table(wait=True)
            now = datetime.now(UTC)
            ada = User(
                user_id=UserId("usr_01JD3N8Z6W3V9K4T7Q2M5XBRPC"),
                email=Email(EMAIL),
                preferences=Preferences(name="Ada"),
                password_hash=bootstrap._hasher().hash(PASSWORD),
                created_at=now,
                updated_at=now,
            )
            if not bootstrap._users().create(ada):
                raise RuntimeError("the table did not take the user")
            yield configure(user_app.app, auth_rate_per_minute=UNLIMITED)


def _beside_a_hash(app: ServiceApp) -> None:
    settings = PasswordSettings()
    bare = PasswordHasher(settings.argon2_time_cost, settings.argon2_memory_kib, settings.argon2_parallelism)
    times = _race(
        {"login": lambda: _try(app, EMAIL, PASSWORD, 200), "one argon2id hash": lambda: bare.hash(PASSWORD)}, LOGINS
    )
    login, floor = times["login"], times["one argon2id hash"]
    table(
        f"POST /auth/login in a warm function, ms, median (least) of {LOGINS}; tables and KMS in this process",
        ["what", "ms", "ratio"],
        [
            ["login", milliseconds(login), f"{ratio(login, floor):.2f}"],
            ["one argon2id hash, same parameters", milliseconds(floor), "1.00"],
        ],
    )


def _unknown_beside_known(app: ServiceApp) -> None:
    known = [f"{name}, wrong password" for name in ("known e-mail", "known e-mail again")]
    unknown = "unknown e-mail"
    numbers = iter(range(UNLIMITED))
    times = _race(
        {
            known[0]: lambda: _try(app, EMAIL, "wrong horse", 401),
            unknown: lambda: _try(app, f"nobody{next(numbers)}@example.com", "wrong horse", 401),
            known[1]: lambda: _try(app, EMAIL, "wrong horse", 401),
        },
        TRIES,
    )
    rows = []
    for name, taken in times.items():
        share = median(taken) / median(times[known[0]])
        said = "" if name == known[0] else "ok" if abs(share - 1) <= TOLERANCE else "MISSED"
        rows.append([name, milliseconds(taken), f"{share:.3f}", f"1 ± {TOLERANCE}" if said else "", said])
    table(f"A refused login, ms, median (least) of {TRIES} tries", ["tried with", "ms", "ratio", "budget", ""], rows)


def _try(app: ServiceApp, email: str, password: str, status: int) -> None:
    answer = request(app, "POST", "/auth/login", {"email": email, "password": password})
    if answer.status != status:
        raise RuntimeError(f"login answered {answer.status}: {json.dumps(answer.json)}")


def _race(contestants: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each; in every round all take one turn, in another order."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    order = list(contestants)
    for number in range(WARM_UP + rounds):
        random.shuffle(order)
        for name in order:
            began = time.perf_counter()
            contestants[name]()
            if number >= WARM_UP:
                times[name].append(time.perf_counter() - began)
    return times
