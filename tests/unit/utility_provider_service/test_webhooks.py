"""Whether a utility signed a webhook, and the secrets that it signs with."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
import standardwebhooks

from functions.common.errors import Conflict, NotFound, Unavailable
from functions.utility_provider_service.model import ProviderId
from functions.utility_provider_service.service import Registry
from functions.utility_provider_service.webhook_secrets import SecretMaking
from functions.utility_provider_service.webhooks import MAX_OPENED, SignedWebhook, Verifying
from tests.support.fakes import FakeClock
from tests.unit.utility_provider_service.fakes import FACTS, FILES, FakeProviders, FakeSecrets, ReversingKms, public

WATER = FACTS.provider_id
BODY = b'{"type": "bill.available", "account_number": "123456"}'


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.secrets, self.kms = FakeSecrets(), ReversingKms()
        registry = Registry(FakeProviders(), self.clock, resolve=public)
        for facts in (FACTS, FILES):
            registry.create_provider(facts)
        self.making = SecretMaking(registry, self.secrets, self.kms, self.clock)
        self.verifying = Verifying(self.secrets, self.kms, self.clock)

    def make(self, provider_id: str = WATER) -> str:
        return self.making.create_webhook_secret(provider_id)[0]

    def sign(
        self, *secrets: str, body: bytes = BODY, age: timedelta = timedelta(), webhook_id: str = "msg_1"
    ) -> SignedWebhook:
        """As the utility does, by the library, with each secret."""
        at = self.clock.now() - age
        signed = (standardwebhooks.Webhook(secret).sign(webhook_id, at, body.decode()) for secret in secrets)
        return SignedWebhook(webhook_id, str(int(at.timestamp())), " ".join(signed), body)

    def verifies(self, webhook: SignedWebhook, provider_id: str = WATER) -> bool:
        return self.verifying.verify_webhook(provider_id, webhook)


@pytest.fixture
def world() -> World:
    return World()


def test_what_the_library_signs_is_verified(world: World) -> None:
    assert world.verifies(world.sign(world.make()))


def test_it_judges_as_the_library_does(world: World) -> None:
    """Which goes by the machine's clock, so that this test does as well."""
    secret = world.make()
    world.clock.advance(datetime.now(UTC) - world.clock.now())
    library = standardwebhooks.Webhook(secret)
    cases = [world.sign(secret, age=timedelta(seconds=age)) for age in (0, 290, -290, 310, -310)]
    cases += [world.sign(world.make(), world.make()), world.sign(f"whsec_{b64encode(b'other').decode()}")]

    for webhook in cases:
        headers = {
            "webhook-id": webhook.webhook_id,
            "webhook-timestamp": webhook.timestamp,
            "webhook-signature": webhook.signatures,
        }
        try:
            library.verify(webhook.body, headers)
            expected = True
        except standardwebhooks.WebhookVerificationError:
            expected = False
        fresh = World()
        fresh.clock.advance(world.clock.now() - fresh.clock.now())
        fresh.secrets.replace_secrets(
            fresh.secrets.get_secrets(WATER).rotated(fresh.kms.seal(WATER, secret), fresh.clock.now()), 0
        )
        assert fresh.verifies(webhook) is expected


def test_the_example_of_the_specification(world: World) -> None:
    """Of the Standard Webhooks repository: its libraries' tests have this secret, id, time, body and signature."""
    secret, at = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", datetime.fromtimestamp(1614265330, UTC)
    world.secrets.replace_secrets(
        world.secrets.get_secrets(WATER).rotated(world.kms.seal(WATER, secret), world.clock.now()), 0
    )
    world.clock.advance(at - world.clock.now())
    signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    webhook = SignedWebhook("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", signature, b'{"test": 2432232314}')

    assert world.verifies(webhook)


@pytest.mark.parametrize(
    ("seconds", "verified"), [(0, True), (300, True), (-300, True), (301, False), (-301, False), (86_400, False)]
)
def test_five_minutes_are_tolerated_both_ways(world: World, seconds: int, verified: bool) -> None:
    assert world.verifies(world.sign(world.make(), age=timedelta(seconds=seconds))) is verified


@pytest.mark.parametrize(
    "timestamp", ["", "now", "1773576000.0", "-1", "1e9", " 1773576000", "9" * 12, "9" * 11, "１773576000"]
)
def test_a_time_that_is_none_is_refused(world: World, timestamp: str) -> None:
    webhook = world.sign(world.make())

    assert not world.verifies(SignedWebhook(webhook.webhook_id, timestamp, webhook.signatures, webhook.body))


def test_whatever_changed_on_the_way_is_refused(world: World) -> None:
    signed = world.sign(world.make())
    later = str(int(signed.timestamp) + 1)

    assert not world.verifies(SignedWebhook("msg_2", signed.timestamp, signed.signatures, signed.body))
    assert not world.verifies(SignedWebhook(signed.webhook_id, later, signed.signatures, signed.body))
    for at in range(len(BODY)):
        changed = BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :]
        assert not world.verifies(SignedWebhook(signed.webhook_id, signed.timestamp, signed.signatures, changed))


def test_what_is_not_utf8_or_not_named_is_refused(world: World) -> None:
    signed = world.sign(world.make())

    assert not world.verifies(SignedWebhook("msg_1", signed.timestamp, signed.signatures, b"\xff\xfe"))
    assert not world.verifies(world.sign(world.make(), webhook_id=""))


@pytest.mark.parametrize("signatures", ["", "v1", "v1,", ",", "v1,not base64", "v2,{}", "v1a,{}", "{}", "v1,é"])
def test_an_odd_signature_is_refused_and_does_not_hide_a_good_one(world: World, signatures: str) -> None:
    signed = world.sign(world.make())
    odd = signatures.format(signed.signatures.removeprefix("v1,"))

    alone = SignedWebhook(signed.webhook_id, signed.timestamp, odd, signed.body)
    both = SignedWebhook(signed.webhook_id, signed.timestamp, f"{odd} {signed.signatures}", signed.body)

    assert not world.verifies(alone)
    assert world.verifies(both)


def test_while_secrets_rotate_both_are_good_for_a_day(world: World) -> None:
    old, new = world.make(), world.make()

    for secrets in ((old,), (new,), (old, new), (new, old)):
        assert world.verifies(world.sign(*secrets))
    world.clock.advance(timedelta(hours=24))
    assert not world.verifies(world.sign(old))
    assert world.verifies(world.sign(new))
    assert world.verifies(world.sign(old, new))


def test_made_twice_in_a_row_nothing_before_is_good(world: World) -> None:
    lost = world.make()
    world.make()
    world.make()

    assert not world.verifies(world.sign(lost))


def test_another_utilitys_secret_is_none(world: World) -> None:
    signed = world.sign(world.make())

    for provider_id in ("prv_unknown", "prv_files", "", "prv_river_water#webhook", "../x"):
        assert not world.verifies(signed, provider_id)


def test_without_a_secret_nothing_is_verified(world: World) -> None:
    assert not world.verifies(world.sign(f"whsec_{b64encode(b'mine').decode()}"))
    assert not world.verifies(world.sign(world.verifying.nobodys))


def test_a_flood_of_forgeries_is_none_of_calls_to_kms(world: World) -> None:
    world.make()
    forged = world.sign(f"whsec_{b64encode(b'mine').decode()}")

    assert not any(world.verifies(forged) for _ in range(50))
    assert world.kms.opened == 1


def test_what_is_kept_in_memory_is_bounded(world: World) -> None:
    for number in range(MAX_OPENED + 1):
        world.verifying.opened[str(number).encode()] = "old"

    assert world.verifies(world.sign(world.make()))
    assert len(world.verifying.opened) == 1


def test_a_kms_that_is_down_is_no_verdict(world: World) -> None:
    signed = world.sign(world.make())
    world.kms.down = True

    with pytest.raises(Unavailable):
        world.verifies(signed)


def test_a_secret_has_the_form_and_length_of_the_specification(world: World) -> None:
    secret, held = world.making.create_webhook_secret(WATER)

    assert secret.startswith("whsec_")
    assert len(standardwebhooks.Webhook(secret)._whsecret) == 32
    assert secret.encode() not in b"".join(each.ciphertext for each in held.secrets)
    assert (held.version, held.secrets[-1].valid_from) == (1, world.clock.now())


def test_no_secret_for_who_is_unknown_or_sends_files(world: World) -> None:
    with pytest.raises(NotFound):
        world.make("prv_unknown")
    with pytest.raises(Conflict) as refused:
        world.make("prv_files")
    assert refused.value.code == "provider_not_linkable"


def test_of_two_who_make_one_at_once_both_are_good(world: World) -> None:
    others: list[str] = []
    world.secrets.interruptions = [lambda: others.append(world.make())]

    mine = world.make()

    assert world.verifies(world.sign(mine))
    assert world.verifies(world.sign(others[0]))


def test_a_secret_that_others_keep_changing_is_given_up(world: World) -> None:
    def another() -> None:
        held = world.secrets.get_secrets(WATER)
        world.secrets.held[WATER] = held.rotated(b"x", world.clock.now())

    world.secrets.interruptions = [another] * 5

    with pytest.raises(Unavailable) as refused:
        world.make()
    assert refused.value.code == "contended"
    assert world.secrets.get_secrets(ProviderId("prv_gas")).secrets == ()
