"""Secrets that KMS itself encrypts, through moto."""

from collections.abc import Iterator

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from functions.common.errors import Unavailable
from functions.common.kms_secrets import KmsSecrets

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def secrets() -> Iterator[KmsSecrets]:
    with mock_aws():
        key_id = boto3.client("kms", "us-east-1").create_key()["KeyMetadata"]["KeyId"]
        yield KmsSecrets(lambda: boto3.client("kms", "us-east-1"), key_id, "provider_id")


def test_what_is_sealed_can_be_opened_and_cannot_be_read(secrets: KmsSecrets) -> None:
    sealed = secrets.seal("prv_gas", SECRET)

    assert SECRET.encode() not in sealed
    assert secrets.open("prv_gas", sealed) == SECRET


def test_it_is_bound_to_its_owner(secrets: KmsSecrets) -> None:
    with pytest.raises(Unavailable):
        secrets.open("prv_water", secrets.seal("prv_gas", SECRET))


def test_a_kms_that_does_not_answer_is_unavailable() -> None:
    def nobody() -> None:
        raise EndpointConnectionError(endpoint_url="https://kms")

    secrets = KmsSecrets(nobody, "key", "provider_id")  # type: ignore[arg-type]
    for call in (lambda: secrets.seal("prv_gas", SECRET), lambda: secrets.open("prv_gas", b"sealed")):
        with pytest.raises(Unavailable):
            call()
