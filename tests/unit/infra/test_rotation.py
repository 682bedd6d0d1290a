"""Which keys are published at each step of a rotation, and which of them signs."""

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from functions.common.http.auth import CLOCK_SKEW_SECONDS
from functions.user_service.settings import SigningSettings
from infra import aws, deploy, rotation, signing_key, stack
from infra.console import Failure
from infra.settings import Settings, Target, load

SETTINGS = load({"TARGET": "aws", "STAGE": "unit"})
ALIASES = signing_key.Aliases.of("unit")


@pytest.fixture
def kms() -> Iterator[Any]:
    with mock_aws():
        yield aws.client(SETTINGS, "kms")


@pytest.fixture
def deploys(kms: Any, monkeypatch: pytest.MonkeyPatch) -> list[signing_key.SigningKey]:
    """What each deploy would have published."""
    made: list[signing_key.SigningKey] = []
    monkeypatch.setattr(stack, "deployed", lambda settings: True)
    for name in ("deploy", "release"):
        monkeypatch.setattr(deploy, name, lambda settings: made.append(signing_key.ensure(settings)))
    return made


def kids(key: signing_key.SigningKey) -> list[str]:
    return [each["kid"] for each in json.loads(key.jwks)["keys"]]


def let_tokens_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "OVERLAP_SECONDS", -1)


def test_the_new_key_is_published_before_it_signs(deploys: list[signing_key.SigningKey]) -> None:
    before = signing_key.ensure(SETTINGS)

    rotation.rotate(SETTINGS)

    first, second = deploys
    [old] = kids(before)
    assert kids(first)[0] == old
    assert first.key_id == before.key_id
    new = kids(first)[1]
    assert kids(second) == [new, old]
    assert (second.key_id, second.overlap_key_id) == (first.overlap_key_id, first.key_id)


def test_later_deploys_publish_what_the_rotation_left(deploys: list[signing_key.SigningKey]) -> None:
    rotation.rotate(SETTINGS)

    assert signing_key.ensure(SETTINGS) == deploys[-1]


def test_the_oldest_key_leaves_with_the_next_rotation_and_is_deleted(
    deploys: list[signing_key.SigningKey], kms: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    oldest = signing_key.ensure(SETTINGS)
    rotation.rotate(SETTINGS)
    let_tokens_expire(monkeypatch)

    rotation.rotate(SETTINGS)

    assert len(deploys) == 4
    assert all(kids(oldest)[0] not in kids(deployed) for deployed in deploys[2:])
    assert kids(deploys[3]) == kids(deploys[2])[::-1]
    assert kms.describe_key(KeyId=oldest.key_id)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    assert kms.describe_key(KeyId=deploys[3].overlap_key_id)["KeyMetadata"]["KeyState"] == "Enabled"


def test_a_key_whose_tokens_may_still_be_good_stays(deploys: list[signing_key.SigningKey]) -> None:
    rotation.rotate(SETTINGS)

    with pytest.raises(Failure, match="previous key") as failure:
        rotation.rotate(SETTINGS)

    assert "in 20 minutes" in failure.value.todo
    assert len(deploys) == 2


def test_unless_the_operator_insists(deploys: list[signing_key.SigningKey]) -> None:
    rotation.rotate(SETTINGS)
    rotation.rotate(SETTINGS, force=True)

    assert len(deploys) == 4


def test_the_overlap_is_longer_than_a_token_lives() -> None:
    [lifetime] = [field.default for field in fields(SigningSettings) if field.name == "access_token_seconds"]

    assert isinstance(lifetime, int)
    assert lifetime + CLOCK_SKEW_SECONDS < rotation.OVERLAP_SECONDS


@pytest.mark.parametrize("broken", [0, 1])
def test_a_rotation_whose_deploy_failed_goes_on_when_called_again(
    broken: int, deploys: list[signing_key.SigningKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signing_key.ensure(SETTINGS)
    works = deploy.deploy
    tries = iter(range(10))

    def failing(settings: Settings) -> None:
        works(settings)
        if next(tries) == broken:
            raise Failure("the stack is stuck")

    for name in ("deploy", "release"):
        monkeypatch.setattr(deploy, name, failing)
    with pytest.raises(Failure, match="stuck"):
        rotation.rotate(SETTINGS)
    between = signing_key.ensure(SETTINGS)  # a plain deploy now
    rotation.rotate(SETTINGS)

    assert between == deploys[broken]
    assert len({kid for deployed in deploys for kid in kids(deployed)}) == 2, "no third key was made"
    assert deploys[-1].overlap_key_id == before.key_id


@pytest.mark.parametrize("operation", ["CreateAlias", "UpdateAlias", "DeleteAlias"])
def test_wherever_moving_the_aliases_breaks_off_it_goes_on_and_no_key_is_lost(
    operation: str, deploys: list[signing_key.SigningKey], kms: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signing_key.ensure(SETTINGS)
    rotation.prepare(SETTINGS, kms, ALIASES, force=False)
    both = set(kids(signing_key.ensure(SETTINGS)))
    unbroken, failing = kms._make_api_call, [operation]

    def breaking(name: str, parameters: dict[str, Any]) -> Any:
        if name in failing:
            failing.clear()
            raise ClientError({"Error": {"Code": "KMSInternalException"}}, name)
        return unbroken(name, parameters)

    monkeypatch.setattr(kms, "_make_api_call", breaking)
    with pytest.raises(ClientError):
        rotation.promote(kms, ALIASES)
    assert set(kids(signing_key.ensure(SETTINGS))) == both

    rotation.promote(kms, ALIASES)

    after = signing_key.ensure(SETTINGS)
    assert set(kids(after)) == both
    assert after.overlap_key_id == before.key_id


def test_there_must_be_something_to_promote(kms: Any) -> None:
    signing_key.ensure(SETTINGS)

    with pytest.raises(Failure, match="no new key"):
        rotation.promote(kms, ALIASES)


def test_nothing_is_rotated_where_nothing_is_deployed(kms: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "deployed", lambda settings: False)

    with pytest.raises(Failure, match="not deployed"):
        rotation.rotate(SETTINGS)


def test_localstack_would_lose_its_data() -> None:
    with pytest.raises(Failure, match="in place"):
        rotation.rotate(replace(SETTINGS, target=Target.LOCALSTACK))
