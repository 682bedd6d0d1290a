"""Who one is, through HTTP: registration, sessions, passwords, codes by mail, lockout. (Fifty registrations at once:
test_limits.)"""

import secrets
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from functions.user_service.mailer import SUBJECTS
from functions.user_service.model import Mail
from infra.client import Client, Json
from tests.integration.household import Household, register
from tests.integration.mailbox import Mailbox
from tests.integration.platform import Platform
from tests.integration.problems import refused

GRACE_SECONDS = 5
AT_ONCE = 4
VERIFY, RESET, CHANGED = SUBJECTS[Mail.VERIFY_EMAIL], SUBJECTS[Mail.RESET_PASSWORD], SUBJECTS[Mail.PASSWORD_CHANGED]


@pytest.fixture
def user(nobody: Client, secret: list[str]) -> Household:
    return register(nobody, secret)


@pytest.fixture
def mailbox(platform: Platform, user: Household) -> Mailbox:
    if not platform.settings.emulated:
        pytest.skip("only emulators show what was sent")
    return Mailbox(platform.settings, user.email)


def log_in(nobody: Client, user: Household, secret: list[str], password: str = "") -> Json:
    tokens = nobody.call("POST", "/auth/login", {"email": user.email, "password": password or user.password})
    secret += [tokens["access_token"], tokens["refresh_token"]]
    return tokens


def refresh(nobody: Client, token: str) -> int:
    return nobody.send("POST", "/auth/refresh", json={"refresh_token": token}).status_code


def new_password(secret: list[str]) -> str:
    secret.append(secrets.token_urlsafe(18))
    return secret[-1]


# registration and login


@pytest.mark.parametrize("password", ["password1", "QWERTYUIOP", "1234567", "x" * 129])
def test_a_password_that_many_have_is_refused(nobody: Client, password: str) -> None:
    body = {"email": f"it-{secrets.token_hex(8)}@example.com", "password": password, "name": "It"}
    refused(nobody.send("POST", "/users", json=body), 422, "password")


@pytest.mark.parametrize("known", [True, False])
def test_guessing_is_slowed_down_alike_whoever_has_the_address(nobody: Client, user: Household, known: bool) -> None:
    """A user registered but never logged in from elsewhere is not told apart from nobody."""
    email = f"it-{secrets.token_hex(8)}@example.com"
    if known:
        nobody.register(email, user.password, "Never Logged In")
    guess = {"email": email, "password": "wrong guess"}

    answers = [nobody.send("POST", "/auth/login", json=guess) for _ in range(12)]

    statuses = [answer.status_code for answer in answers]
    assert statuses[:5] == [401] * 5
    locked = next(answer for answer in answers if answer.status_code == 429)
    assert refused(locked, 429)["code"] == "locked"
    assert int(locked.headers["Retry-After"]) >= 1


# the user's own data


def test_the_users_own_data_change(user: Household) -> None:
    chosen = {"name": "Zoë ✈", "currency": "CHF", "time_zone": "Europe/Zurich", "reminder_days": 3}

    assert user.client.call("PATCH", "/users/me", chosen).items() >= chosen.items()
    assert user.client.call("GET", "/users/me").items() >= chosen.items()
    refused(
        user.client.send("PATCH", "/users/me", json={"currency": "ZZZ", "time_zone": "Mars/Olympus", "x": 1}), 422, "x"
    )
    refused(
        user.client.send("PATCH", "/users/me", json={"currency": "ZZZ", "time_zone": "Mars/Olympus"}),
        422,
        "currency",
        "time_zone",
    )


# sessions


def test_a_stolen_token_ends_the_session_and_a_retry_does_not(
    nobody: Client, user: Household, secret: list[str]
) -> None:
    stolen = log_in(nobody, user, secret)["refresh_token"]
    fresh = nobody.call("POST", "/auth/refresh", {"refresh_token": stolen})["refresh_token"]
    secret.append(fresh)
    refused(nobody.send("POST", "/auth/refresh", json={"refresh_token": stolen}), 401)
    newest = nobody.call("POST", "/auth/refresh", {"refresh_token": fresh})["refresh_token"]
    secret.append(newest)

    time.sleep(GRACE_SECONDS + 0.5)
    assert refresh(nobody, fresh) == 401

    assert refresh(nobody, newest) == 401


def test_of_many_refreshes_at_once_one_wins_and_the_session_lives(
    nobody: Client, user: Household, secret: list[str]
) -> None:
    token = log_in(nobody, user, secret)["refresh_token"]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        # functions that are warm: one that takes seconds to start judges a retry later than the grace allows
        list(pool.map(lambda _: nobody.send("POST", "/auth/refresh", json={"refresh_token": "x"}), range(4 * AT_ONCE)))
        answers = list(
            pool.map(lambda _: nobody.send("POST", "/auth/refresh", json={"refresh_token": token}), range(AT_ONCE))
        )

    won = [answer for answer in answers if answer.ok]
    assert len(won) == 1
    assert {answer.status_code for answer in answers if not answer.ok} == {401}
    secret.append(won[0].json()["refresh_token"])
    assert refresh(nobody, secret[-1]) == 200


def test_sessions_are_listed_and_end_one_by_one_or_all(nobody: Client, user: Household, secret: list[str]) -> None:
    phone, laptop = log_in(nobody, user, secret), log_in(nobody, user, secret)
    client = nobody.with_token(laptop["access_token"])

    items = client.call("GET", "/users/me/sessions")["items"]
    assert len(items) == 3
    assert [item["current"] for item in items] == [True, False, False]
    ended = f"/users/me/sessions/{items[1]['session_id']}"
    assert client.send("DELETE", ended).status_code == 204
    refused(client.send("DELETE", ended), 404)
    assert refresh(nobody, phone["refresh_token"]) == 401

    assert client.send("POST", "/auth/logout-all").status_code == 204
    assert refresh(nobody, laptop["refresh_token"]) == 401
    assert client.call("GET", "/users/me/sessions")["items"] == []


# passwords


def test_another_password_ends_the_other_sessions(
    nobody: Client, user: Household, secret: list[str], mailbox: Mailbox
) -> None:
    other, mine = log_in(nobody, user, secret), log_in(nobody, user, secret)
    client, chosen = nobody.with_token(mine["access_token"]), new_password(secret)
    body = {"current_password": user.password, "new_password": chosen}

    refused(client.send("POST", "/users/me/password", json=body | {"current_password": "wrong guess"}), 422)
    refused(client.send("POST", "/users/me/password", json=body | {"new_password": "password1"}), 422, "new_password")
    assert client.send("POST", "/users/me/password", json=body).status_code == 204

    assert refresh(nobody, other["refresh_token"]) == 401
    assert refresh(nobody, mine["refresh_token"]) == 200
    refused(nobody.send("POST", "/auth/login", json={"email": user.email, "password": user.password}), 401)
    log_in(nobody, user, secret, chosen)
    mailbox.await_letter(CHANGED)


def test_the_address_is_verified_by_the_code_of_the_mail(
    nobody: Client, user: Household, secret: list[str], mailbox: Mailbox
) -> None:
    first = mailbox.await_code(VERIFY)
    assert nobody.send("POST", "/auth/verify-email/request", json={"email": user.email}).status_code == 202
    code = mailbox.await_code(VERIFY, 2)
    secret += [first, code]
    wrong = {"email": user.email, "code": first}
    refused(nobody.send("POST", "/auth/verify-email", json=wrong), 422, "code")
    refused(nobody.send("POST", "/auth/verify-email", json={"email": "eve@example.com", "code": code}), 422, "code")

    assert nobody.send("POST", "/auth/verify-email", json={"email": user.email, "code": code}).status_code == 204

    refused(nobody.send("POST", "/auth/verify-email", json={"email": user.email, "code": code}), 422, "code")
    assert user.client.call("GET", "/users/me")["email_verified"] is True


def test_a_forgotten_password_is_reset_by_the_code_of_the_mail(
    nobody: Client, user: Household, secret: list[str], mailbox: Mailbox
) -> None:
    session, chosen = log_in(nobody, user, secret), new_password(secret)
    answers = [
        nobody.send("POST", "/auth/password-reset/request", json={"email": email})
        for email in (user.email, f"it-{secrets.token_hex(8)}@example.com")
    ]
    assert [(answer.status_code, answer.text) for answer in answers] == [(202, "{}")] * 2
    code = mailbox.await_code(RESET)
    secret.append(code)
    body = {"email": user.email, "code": code, "new_password": chosen}
    refused(nobody.send("POST", "/auth/password-reset", json=body | {"code": code[::-1]}), 422, "code")
    refused(nobody.send("POST", "/auth/password-reset", json=body | {"new_password": "12345678"}), 422, "new_password")

    with ThreadPoolExecutor(4) as pool:
        statuses = pool.map(lambda _: nobody.send("POST", "/auth/password-reset", json=body).status_code, range(4))

    assert sorted(statuses) == [204, 422, 422, 422]
    assert refresh(nobody, session["refresh_token"]) == 401
    refused(nobody.send("POST", "/auth/login", json={"email": user.email, "password": user.password}), 401)
    log_in(nobody, user, secret, chosen)


def test_a_reset_lets_a_household_in_that_guessers_have_locked_out(
    nobody: Client, user: Household, secret: list[str], mailbox: Mailbox
) -> None:
    chosen, guess = new_password(secret), {"email": user.email, "password": "wrong guess"}
    statuses = [nobody.send("POST", "/auth/login", json=guess).status_code for _ in range(12)]
    assert 429 in statuses
    assert nobody.send("POST", "/auth/password-reset/request", json={"email": user.email}).status_code == 202
    body = {"email": user.email, "code": mailbox.await_code(RESET), "new_password": chosen}
    secret.append(body["code"])

    assert nobody.send("POST", "/auth/password-reset", json=body).status_code == 204

    log_in(nobody, user, secret, chosen)
