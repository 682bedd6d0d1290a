"""Envelope encryption: only the same link's key, context and cipher text open it."""

from typing import cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from mypy_boto3_kms import KMSClient

from functions.account_linking_service.credentials import Sealed, Secrets, Unreadable
from functions.account_linking_service.model import LinkId
from functions.account_linking_service.vault import KmsVault
from functions.common.errors import Unavailable
from tests.support.fakes import FakeClock

ONE, OTHER = LinkId("lnk_1"), LinkId("lnk_2")
CLEAR = Secrets({"account_number": "NW12345678"}, "ada", "correct horse")


@pytest.fixture
def vault(kms: KMSClient, key_id: str) -> KmsVault:
    return KmsVault(lambda: kms, key_id, FakeClock())


def test_what_is_sealed_opens(vault: KmsVault) -> None:
    assert vault.open(ONE, vault.seal(ONE, CLEAR), Secrets) == CLEAR


def test_nothing_stands_in_the_clear(vault: KmsVault) -> None:
    sealed = vault.seal(ONE, CLEAR)
    for secret in (b"NW12345678", b"ada", b"correct horse"):
        assert secret not in sealed.ciphertext + sealed.wrapped_key
    assert vault.seal(ONE, CLEAR).ciphertext != sealed.ciphertext


def test_another_link_cannot_open_it(vault: KmsVault) -> None:
    with pytest.raises(Unreadable):  # KMS refuses: the encryption context differs
        vault.open(OTHER, vault.seal(ONE, CLEAR), Secrets)


def test_keys_and_texts_of_two_links_do_not_mix(vault: KmsVault) -> None:
    one, other = vault.seal(ONE, CLEAR), vault.seal(OTHER, CLEAR)
    with pytest.raises(Unreadable):
        vault.open(ONE, Sealed(one.wrapped_key, other.ciphertext), Secrets)


@pytest.mark.parametrize("at", [0, 5, -1])
def test_a_flipped_bit_is_noticed(vault: KmsVault, at: int) -> None:
    sealed = vault.seal(ONE, CLEAR)
    damaged = bytearray(sealed.ciphertext)
    damaged[at] ^= 1
    with pytest.raises(Unreadable):
        vault.open(ONE, Sealed(sealed.wrapped_key, bytes(damaged)), Secrets)


def test_a_short_text_is_unreadable(vault: KmsVault) -> None:
    with pytest.raises(Unreadable):
        vault.open(ONE, Sealed(vault.seal(ONE, CLEAR).wrapped_key, b"\x01short"), Secrets)


class DownKms:
    """KMS that refuses everything."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def generate_data_key(self, **_: object) -> object:
        raise self.error

    def decrypt(self, **_: object) -> object:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "Decrypt"),
        EndpointConnectionError(endpoint_url="https://kms"),
    ],
)
def test_kms_being_down_is_no_fault_of_the_link(error: Exception) -> None:
    kms = cast(KMSClient, DownKms(error))  # as much of KMS as is used
    vault = KmsVault(lambda: kms, "key", FakeClock())
    with pytest.raises(Unavailable):
        vault.seal(ONE, CLEAR)
    with pytest.raises(Unavailable):
        vault.open(ONE, Sealed(b"key", b"\x01text"), Secrets)
