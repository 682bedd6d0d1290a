"""What holds when many ask at once. (Exactly 100 of 200 against a limit of 100: tests/unit/common/test_cache.py.)"""

import secrets
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.client import Client

THREADS, TRIES = 10, 50
"""As many threads as cold functions that a developer's machine bears."""


@pytest.mark.usefixtures("atomic")
def test_of_many_registrations_of_one_e_mail_exactly_one_succeeds(nobody: Client, secret: list[str]) -> None:
    password, name = secrets.token_urlsafe(18), secrets.token_hex(8)
    secret.append(password)
    spellings = [f"race-{name}@example.com", f"RACE-{name.upper()}@Example.com", f"  race-{name}@EXAMPLE.com "]
    bodies = [{"email": spellings[n % 3], "password": password, "name": f"Racer {n}"} for n in range(TRIES)]
    clients = [Client(nobody.base_url) for _ in range(THREADS)]

    def register(number: int) -> tuple[int, str]:
        answer = clients[number % THREADS].send("POST", "/users", json=bodies[number])
        return answer.status_code, answer.json().get("code", "created")

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda client: client.send("GET", "/.well-known/jwks.json"), clients))  # warm functions
        answers = Counter(pool.map(register, range(TRIES)))
    for client in clients:
        client.close()

    assert answers == {(201, "created"): 1, (409, "email_taken"): TRIES - 1}
    assert nobody.login(spellings[1], password).call("GET", "/users/me")["email"] == spellings[0]
