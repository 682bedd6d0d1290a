"""Codes beside the login."""

from datetime import date, timedelta

import pytest

from functions.mock_api_service.model import CodeDemand, Reason, Refusal, UtilityName
from functions.mock_api_service.service import CLIENT_CREDENTIALS, CODE_GRANT, TokenRequest
from functions.mock_api_service.signing_in import CHALLENGE_LIFETIME, CODE, CODE_METHODS, FrontDesk, Login
from functions.mock_api_service.utilities import UTILITIES
from tests.unit.mock_api_service.fakes import World

EACH = pytest.mark.parametrize("utility", list(UtilityName))


@pytest.fixture
def world() -> World:
    return World()


def sign_in(world: World, utility: UtilityName, token: str = "", code: str = "", password: str = "pw") -> None:
    desk = FrontDesk(world.table, world.clock, world.sandbox.new_secret)
    desk.sign_in(utility, Login("mfa.jane", password, token, code), UTILITIES[utility].account_example)


def asked(
    world: World, utility: UtilityName, token: str = "", code: str = "", password: str = "pw"
) -> tuple[Reason, CodeDemand]:
    with pytest.raises(Refusal) as refusal:
        sign_in(world, utility, token, code, password)
    assert refusal.value.demand
    return refusal.value.reason, refusal.value.demand


@EACH
def test_a_code_is_asked_for_each_time_with_a_fresh_token(world: World, utility: UtilityName) -> None:
    (reason, first), (_, second) = asked(world, utility), asked(world, utility)

    assert reason is Reason.CODE_NEEDED
    assert (first.methods, first.seconds) == (CODE_METHODS[utility], 300)
    assert first.token != second.token


@EACH
def test_the_right_code_is_good_for_thirty_virtual_days(world: World, utility: UtilityName) -> None:
    sign_in(world, utility, asked(world, utility)[1].token, CODE)

    world.operator.move_clock(days=30)
    sign_in(world, utility)
    world.operator.move_clock(days=1)
    assert asked(world, utility)[0] is Reason.CODE_NEEDED


@EACH
def test_a_wrong_code_uses_up_its_challenge(world: World, utility: UtilityName) -> None:
    token = asked(world, utility)[1].token

    reason, fresh = asked(world, utility, token, "000000")

    assert reason is Reason.CODE_WRONG
    assert asked(world, utility, token, CODE)[0] is Reason.CODE_NEEDED
    sign_in(world, utility, fresh.token, CODE)


@EACH
def test_a_challenge_ends_after_five_minutes(world: World, utility: UtilityName) -> None:
    early, late = asked(world, utility)[1].token, asked(world, utility)[1].token

    world.clock.advance(CHALLENGE_LIFETIME - timedelta(seconds=1))
    sign_in(world, utility, early, CODE, password="pw")
    world.table.trusted.clear()
    world.clock.advance(timedelta(seconds=1))

    assert asked(world, utility, late, CODE)[0] is Reason.CODE_NEEDED


@EACH
@pytest.mark.parametrize("token", ["", "made-up"])
def test_a_code_without_its_challenge_is_worth_nothing(world: World, utility: UtilityName, token: str) -> None:
    asked(world, utility)

    assert asked(world, utility, token, CODE)[0] is Reason.CODE_NEEDED


def test_a_challenge_belongs_to_one_login_at_one_utility(world: World) -> None:
    token = asked(world, UtilityName.GAS)[1].token

    assert asked(world, UtilityName.INTERNET, token, CODE)[0] is Reason.CODE_NEEDED
    assert asked(world, UtilityName.GAS, token, CODE, password="another")[0] is Reason.CODE_NEEDED
    sign_in(world, UtilityName.GAS, token, CODE)


def test_trust_belongs_to_one_login_at_one_utility(world: World) -> None:
    sign_in(world, UtilityName.GAS, asked(world, UtilityName.GAS)[1].token, CODE)

    assert asked(world, UtilityName.GAS, password="another")[0] is Reason.CODE_NEEDED
    assert asked(world, UtilityName.INTERNET)[0] is Reason.CODE_NEEDED


def test_an_access_token_lasts_no_longer_than_the_trust(world: World) -> None:
    account = UTILITIES[UtilityName.ELECTRICITY].account_example
    token = asked(world, UtilityName.ELECTRICITY)[1].token
    access = world.sandbox.issue_token(TokenRequest(CODE_GRANT, Login("mfa.jane", "pw", token, CODE)))
    assert world.sandbox.issue_token(TokenRequest(CLIENT_CREDENTIALS, Login("mfa.jane", "pw")))
    assert world.sandbox.list_bills(access, account, "", None).bills

    world.operator.move_clock(to=date(2026, 6, 1))

    with pytest.raises(Refusal) as refusal:
        world.sandbox.list_bills(access, account, "", None)
    assert refusal.value.reason is Reason.INVALID_TOKEN


def test_nothing_secret_is_kept_or_shown(world: World) -> None:
    token = asked(world, UtilityName.GAS, password="hunter2")[1].token
    sign_in(world, UtilityName.GAS, token, CODE, password="hunter2")

    kept = repr((world.table.challenges, world.table.trusted, Login("mfa", "hunter2", token, CODE)))

    assert not [secret for secret in ("hunter2", token, CODE) if secret in kept]
