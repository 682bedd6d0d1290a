from collections.abc import Callable
from datetime import timedelta

import pytest

from functions.mock_api_service.billing import monthly
from functions.mock_api_service.model import AccountNumber, Bill, Reason, Refusal, Scenario, UtilityName
from functions.mock_api_service.scenarios import PLAYS, USUAL_PAGE
from functions.mock_api_service.service import TokenRequest
from functions.mock_api_service.signing_in import Login
from functions.mock_api_service.utilities import UTILITIES
from tests.unit.mock_api_service.fakes import World

POWER, GAS, WATER, INTERNET = UtilityName
ACCOUNTS = {name: AccountNumber(utility.account_example) for name, utility in UTILITIES.items()}
GOOD = Login("good", "pw")


@pytest.fixture
def world() -> World:
    return World()


def sign_in(world: World, username: str = "good", account: str = "") -> str:
    """An access token of the electricity utility."""
    return world.sandbox.issue_token(TokenRequest("client_credentials", Login(username, "pw"), account))


def fetch(world: World, utility: UtilityName, username: str, account: str = "") -> tuple[Bill, ...]:
    """All bills of an account, in that utility's way."""
    sandbox, number, login = world.sandbox, account or ACCOUNTS[utility], Login(username, "pw")
    if utility is POWER:
        token, after, found = sign_in(world, username, number), "", list[Bill]()
        while True:
            page = sandbox.list_bills(token, number, after, None)
            found += page.bills
            if not page.next_cursor:
                return tuple(found)
            after = page.next_cursor
    if utility is WATER:
        ref_id = sandbox.request_bill(login, number)
        assert sandbox.fetch_bill(login, ref_id).state == "PENDING"
        return sandbox.fetch_bill(login, ref_id).bills
    return sandbox.download(utility, login, number).bills


def answers(world: World, utility: UtilityName, username: str) -> bool:
    """Whether one request for bills brings some; the electricity utility's first page needs no second."""
    if utility is POWER:
        return bool(world.sandbox.list_bills(sign_in(world, username), ACCOUNTS[POWER], "", None).bills)
    return bool(fetch(world, utility, username))


def refused(world: World, utility: UtilityName, username: str, account: str = "") -> Reason:
    with pytest.raises(Refusal) as refusal:
        fetch(world, utility, username, account)
    return refusal.value.reason


@pytest.mark.parametrize("utility", list(UtilityName))
@pytest.mark.parametrize("username", ["good", "good.jane", "jane@example.com"])
def test_a_good_account_has_a_year_of_bills(world: World, utility: UtilityName, username: str) -> None:
    assert len(fetch(world, utility, username)) == 12
    assert world.naps == []


@pytest.mark.parametrize("utility", list(UtilityName))
def test_a_slow_account_takes_its_time_for_the_bills_only(utility: UtilityName) -> None:
    world = World(slow_seconds=0.5)

    assert len(fetch(world, utility, "slow")) == 12
    assert world.naps == [0.5] * (3 if utility is POWER else 1)


@pytest.mark.parametrize("utility", list(UtilityName))
@pytest.mark.parametrize(
    ("username", "reason"),
    [
        ("bad_login", Reason.BAD_LOGIN),
        ("locked", Reason.LOCKED),
        ("mfa", Reason.CODE_NEEDED),
        ("down.jane", Reason.DOWN),
        ("rate_limited", Reason.RATE_LIMITED),
    ],
)
def test_a_scripted_account_is_refused(world: World, utility: UtilityName, username: str, reason: Reason) -> None:
    assert refused(world, utility, username) is reason


@pytest.mark.parametrize("utility", list(UtilityName))
def test_every_odd_request_of_a_flaky_account_fails_and_the_next_one_works(world: World, utility: UtilityName) -> None:
    for _ in range(2):
        assert refused(world, utility, "flaky") is Reason.HICCUP
        assert answers(world, utility, "flaky")


@pytest.mark.parametrize("utility", list(UtilityName))
def test_flaky_accounts_are_counted_each_by_itself(world: World, utility: UtilityName) -> None:
    another = ACCOUNTS[utility].replace("4", "5")

    assert refused(world, utility, "flaky") is Reason.HICCUP
    assert refused(world, utility, "flaky", another) is Reason.HICCUP


@pytest.mark.parametrize("utility", list(UtilityName))
def test_a_corrected_bill_has_its_new_amount_from_the_seventh_day(world: World, utility: UtilityName) -> None:
    world.operator.move_clock(to=fetch(world, utility, "good")[0].statement_date)
    first = fetch(world, utility, "adjusted")

    world.operator.move_clock(days=7)

    second = fetch(world, utility, "adjusted")
    assert (first[0].revision, second[0].revision) == (1, 2)
    assert second[0].amount_minor != first[0].amount_minor
    assert [bill.revision for bill in first[1:]] == [2] * 11
    assert second[1:] == first[1:]


@pytest.mark.parametrize("utility", list(UtilityName))
def test_a_duplicate_account_has_each_bill_twice(world: World, utility: UtilityName) -> None:
    numbers = [bill.number for bill in fetch(world, utility, "duplicate")]

    assert sorted(numbers) == sorted([bill.number for bill in fetch(world, utility, "good")] * 2)


@pytest.mark.parametrize("utility", list(UtilityName))
def test_an_empty_account_has_no_bills(world: World, utility: UtilityName) -> None:
    assert fetch(world, utility, "empty") == ()


@pytest.mark.parametrize("utility", list(UtilityName))
def test_a_huge_account_has_six_hundred_bills(world: World, utility: UtilityName) -> None:
    assert len({bill.number for bill in fetch(world, utility, "huge")}) == 600


@pytest.mark.parametrize("username", ["malformed", "good"])
def test_what_a_malformed_account_gets_is_marked(world: World, username: str) -> None:
    garbled = username == "malformed"
    login, token = Login(username, "pw"), sign_in(world, username)

    assert world.sandbox.list_bills(token, ACCOUNTS[POWER], "", None).garbled is garbled
    assert world.sandbox.download(GAS, login, ACCOUNTS[GAS]).garbled is garbled
    assert world.sandbox.download(INTERNET, login, ACCOUNTS[INTERNET]).garbled is garbled
    ref_id = world.sandbox.request_bill(login, ACCOUNTS[WATER])
    assert [world.sandbox.fetch_bill(login, ref_id).garbled for _ in range(2)] == [False, garbled]


def test_every_scenario_is_played() -> None:
    assert set(PLAYS) == set(Scenario)
    assert len(set(PLAYS.values())) == len(PLAYS)


class TestScenarioOfAnAccount:
    @pytest.mark.parametrize("utility", list(UtilityName))
    def test_it_wins_over_the_user_names(self, world: World, utility: UtilityName) -> None:
        world.operator.set_scenario(utility, ACCOUNTS[utility], Scenario.GOOD)
        assert len(fetch(world, utility, "bad_login")) == 12

        world.operator.set_scenario(utility, ACCOUNTS[utility], Scenario.LOCKED)
        assert refused(world, utility, "good") is Reason.LOCKED

        world.operator.set_scenario(utility, ACCOUNTS[utility], None)
        assert len(fetch(world, utility, "good")) == 12

    def test_it_holds_for_no_other_account_or_utility(self, world: World) -> None:
        world.operator.set_scenario(GAS, ACCOUNTS[GAS], Scenario.LOCKED)

        assert len(fetch(world, GAS, "good", "4410029376")) == 12
        assert len(fetch(world, INTERNET, "good")) == 12

    @pytest.mark.parametrize("scenario", [Scenario.BAD_LOGIN, Scenario.LOCKED, Scenario.MFA])
    def test_a_token_is_void_when_its_account_could_not_sign_in(self, world: World, scenario: Scenario) -> None:
        token = sign_in(world)
        world.operator.set_scenario(POWER, ACCOUNTS[POWER], scenario)

        with pytest.raises(Refusal) as refusal:
            world.sandbox.list_bills(token, ACCOUNTS[POWER], "", None)

        assert refusal.value.reason is Reason.INVALID_TOKEN

    def test_a_token_request_that_names_no_account_goes_by_the_user_name(self, world: World) -> None:
        world.operator.set_scenario(POWER, ACCOUNTS[POWER], Scenario.LOCKED)

        assert sign_in(world, "good")


class TestDocuments:
    @pytest.mark.parametrize("username", ["good", "flaky", "rate_limited", "malformed"])
    def test_a_bill_is_found_whatever_becomes_of_requests_for_bills(self, world: World, username: str) -> None:
        for utility in (POWER, INTERNET):
            bill = monthly(UTILITIES[utility], ACCOUNTS[utility], world.operator.virtual_date())[3]
            if utility is POWER:
                found = world.sandbox.bill_document(sign_in(world, username), ACCOUNTS[utility], bill.number)
            else:
                found = world.sandbox.statement_document(Login(username, "pw"), ACCOUNTS[utility], bill.number)
            assert found == bill

    @pytest.mark.parametrize(
        ("account", "number", "reason"),
        [(ACCOUNTS[INTERNET], "FN-202603-XXXXXX", Reason.UNKNOWN_BILL), ("x", "y", Reason.UNKNOWN_ACCOUNT)],
    )
    def test_an_unknown_one_is_refused(self, world: World, account: str, number: str, reason: Reason) -> None:
        with pytest.raises(Refusal) as refusal:
            world.sandbox.statement_document(GOOD, account, number)

        assert refusal.value.reason is reason

    def test_it_needs_a_sign_in(self, world: World) -> None:
        number = fetch(world, POWER, "good")[0].number
        with pytest.raises(Refusal) as no_token:
            world.sandbox.bill_document("made-up", ACCOUNTS[POWER], number)
        with pytest.raises(Refusal) as no_login:
            world.sandbox.statement_document(Login("bad_login", "pw"), ACCOUNTS[INTERNET], number)

        assert (no_token.value.reason, no_login.value.reason) == (Reason.INVALID_TOKEN, Reason.BAD_LOGIN)


@pytest.mark.parametrize(("username", "password"), [("", "pw"), ("good", ""), ("", "")])
def test_credentials_are_needed(world: World, username: str, password: str) -> None:
    login = Login(username, password)
    asks: list[Callable[[], object]] = [
        lambda: world.sandbox.download(GAS, login, ACCOUNTS[GAS]),
        lambda: world.sandbox.issue_token(TokenRequest("client_credentials", login)),
        lambda: world.sandbox.request_bill(login, ACCOUNTS[WATER]),
        lambda: world.sandbox.fetch_bill(login, "ref"),
    ]
    for ask in asks:
        with pytest.raises(Refusal) as refusal:
            ask()
        assert refusal.value.reason is Reason.BAD_LOGIN


@pytest.mark.parametrize("utility", [POWER, GAS, INTERNET])
def test_an_ill_formed_account_number_is_unknown(world: World, utility: UtilityName) -> None:
    assert refused(world, utility, "good", "nonsense") is Reason.UNKNOWN_ACCOUNT


def test_the_water_utility_tells_of_an_unknown_account_only_when_polled(world: World) -> None:
    ref_id = world.sandbox.request_bill(GOOD, "nonsense")

    states = [world.sandbox.fetch_bill(GOOD, ref_id).state for _ in range(2)]

    assert states == ["PENDING", "FAILURE"]


def test_an_outage_hits_one_utility_until_it_ends(world: World) -> None:
    world.operator.set_outage(GAS, down=True)

    assert refused(world, GAS, "good") is Reason.DOWN
    assert fetch(world, INTERNET, "good")

    world.operator.set_outage(GAS, down=False)
    assert fetch(world, GAS, "good")


class TestElectricity:
    def test_pages_hold_five_and_join_without_gap(self, world: World) -> None:
        token = sign_in(world)

        first = world.sandbox.list_bills(token, ACCOUNTS[POWER], "", 100)
        small = world.sandbox.list_bills(token, ACCOUNTS[POWER], "", 2)

        assert (len(first.bills), first.limit, len(small.bills), small.limit) == (USUAL_PAGE, USUAL_PAGE, 2, 2)
        numbers = [bill.number for bill in fetch(world, POWER, "good")]
        assert len(numbers) == len(set(numbers)) == 12
        assert first.paid_through == first.bills[1].statement_date

    def test_a_cursor_stays_right_when_a_bill_is_issued_meanwhile(self, world: World) -> None:
        token = sign_in(world)
        first = world.sandbox.list_bills(token, ACCOUNTS[POWER], "", 5)
        expected = world.sandbox.list_bills(token, ACCOUNTS[POWER], first.next_cursor or "", 5)

        world.operator.move_clock(months=1)

        assert world.sandbox.list_bills(token, ACCOUNTS[POWER], first.next_cursor or "", 5).bills == expected.bills

    @pytest.mark.parametrize("after", ["x", "!!!", "e30", "W10", "eyJiZWZvcmUiOiJ4In0", "é"])
    def test_a_cursor_of_somebody_else_is_refused(self, world: World, after: str) -> None:
        token = sign_in(world)

        with pytest.raises(Refusal) as refusal:
            world.sandbox.list_bills(token, ACCOUNTS[POWER], after, 5)

        assert refusal.value.reason is Reason.MALFORMED

    def test_a_token_ends(self, world: World) -> None:
        token = sign_in(world)
        world.clock.advance(timedelta(minutes=10))

        with pytest.raises(Refusal) as refusal:
            world.sandbox.list_bills(token, ACCOUNTS[POWER], "", 5)

        assert refusal.value.reason is Reason.INVALID_TOKEN

    @pytest.mark.parametrize("token", ["", "made-up"])
    def test_a_token_must_be_known(self, world: World, token: str) -> None:
        with pytest.raises(Refusal) as refusal:
            world.sandbox.list_bills(token, ACCOUNTS[POWER], "", 5)

        assert refusal.value.reason is Reason.INVALID_TOKEN

    def test_neither_the_token_nor_the_password_is_kept(self, world: World) -> None:
        token = world.sandbox.issue_token(TokenRequest("client_credentials", Login("good", "hunter2")))

        kept = repr(world.table.grants)

        assert token not in kept
        assert "hunter2" not in kept

    def test_there_is_one_kind_of_grant(self, world: World) -> None:
        with pytest.raises(Refusal) as refusal:
            world.sandbox.issue_token(TokenRequest("password", GOOD))

        assert refusal.value.reason is Reason.UNSUPPORTED_GRANT


class TestWater:
    def test_a_reference_belongs_to_who_asked(self, world: World) -> None:
        ref_id = world.sandbox.request_bill(Login("good.jane", "pw"), ACCOUNTS[WATER])

        for username, reference in [("good.joe", ref_id), ("good.jane", "unknown")]:
            with pytest.raises(Refusal) as refusal:
                world.sandbox.fetch_bill(Login(username, "pw"), reference)
            assert refusal.value.reason is Reason.UNKNOWN_REFERENCE

    def test_a_reference_ends(self, world: World) -> None:
        ref_id = world.sandbox.request_bill(GOOD, ACCOUNTS[WATER])
        world.clock.advance(timedelta(hours=1))

        with pytest.raises(Refusal) as refusal:
            world.sandbox.fetch_bill(GOOD, ref_id)

        assert refusal.value.reason is Reason.UNKNOWN_REFERENCE
