"""Unit tests reach no network, and see no environment but what they set."""

from collections.abc import Iterator
from functools import cache

import boto3
import pytest
from botocore import loaders, session
from moto.kms import models, utils
from pytest_socket import disable_socket, enable_socket


@pytest.fixture(autouse=True)
def no_sockets() -> Iterator[None]:
    disable_socket(allow_unix_socket=True)
    yield
    enable_socket()


@pytest.fixture(autouse=True)
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that are none, for moto; never an endpoint; no session that has read others."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture(scope="session", autouse=True)
def descriptions_of_aws() -> Iterator[None]:
    """All sessions of botocore share what they have read of its descriptions of services, as clients of one session do:
    to read them anew (DynamoDB's is half a megabyte of JSON) was half the time of a test with moto."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "create_loader", cache(loaders.create_loader))
        yield


@pytest.fixture(scope="session", autouse=True)
def keys_of_kms() -> Iterator[None]:
    """moto makes an RSA key, which takes a tenth of a second, for each key of KMS, also for those that encrypt by AES:
    they share one, since nothing uses it."""
    unused = cache(utils.generate_private_key)

    def generate(key_spec: str) -> utils.AbstractPrivateKey:
        return unused(key_spec) if key_spec == utils.KeySpec.SYMMETRIC_DEFAULT else utils.generate_private_key(key_spec)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "generate_private_key", generate)
        yield
