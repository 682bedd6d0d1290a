"""Envelope encryption: only the same link's key, context and cipher text open it."""

from dataclasses import replace
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from mypy_boto3_kms import KMSClient

from functions.account_linking_service.credentials import Login, MfaCode, Sealed, Secrets, Unreadable
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


def test_a_box_of_one_kind_does_not_open_as_another(vault: KmsVault) -> None:
    login = vault.seal(ONE, Login("ada", "correct horse"))
    assert vault.open(ONE, login, Login) == Login("ada", "correct horse")
    with pytest.raises(Unreadable):
        vault.open(ONE, login, Secrets)
    with pytest.raises(Unreadable):
        vault.open(ONE, login, MfaCode)


def test_boxes_say_which_key_wrapped_them_and_when(vault: KmsVault, key_id: str) -> None:
    sealed = vault.seal(ONE, MfaCode("246810", "ref"))
    assert (sealed.master_key, sealed.sealed_at) == (key_id, FakeClock().now())
    assert vault.is_current(sealed)
    assert not vault.is_current(replace(sealed, master_key="another"))


def test_a_box_without_a_key_is_unreadable(vault: KmsVault) -> None:
    with pytest.raises(Unreadable):
        vault.open(ONE, replace(vault.seal(ONE, CLEAR), wrapped_key=b""), Secrets)


class StrictKms:
    """KMS as it is on AWS: says so when another master key wrapped."""

    def __init__(self, kms: KMSClient) -> None:
        self.kms = kms
        self.asked: list[str] = []

    def decrypt(self, **asked: Any) -> object:  # Any: handed through
        self.asked.append(asked["KeyId"])
        try:
            return self.kms.decrypt(**asked)
        except ClientError as error:
            raise ClientError({"Error": {"Code": "IncorrectKeyException"}}, "Decrypt") from error


def test_what_former_keys_wrapped_opens(kms: KMSClient, key_id: str) -> None:
    present, strict = kms.create_key()["KeyMetadata"]["KeyId"], StrictKms(kms)
    sealed = KmsVault(lambda: kms, key_id, FakeClock()).seal(ONE, CLEAR)
    vault = KmsVault(lambda: cast(KMSClient, strict), present, FakeClock(), [key_id])

    assert vault.open(ONE, sealed, Secrets) == CLEAR
    assert strict.asked == [key_id], "the box says which"
    assert vault.open(ONE, replace(sealed, master_key=""), Secrets) == CLEAR
    assert strict.asked[1:] == [present, key_id], "where it does not, the present one first"
    assert not vault.is_current(sealed)


def test_what_a_key_wrapped_that_is_no_longer_named_is_unreadable(kms: KMSClient, key_id: str) -> None:
    present, strict = kms.create_key()["KeyMetadata"]["KeyId"], StrictKms(kms)
    sealed = KmsVault(lambda: kms, key_id, FakeClock()).seal(ONE, CLEAR)
    with pytest.raises(Unreadable):
        KmsVault(lambda: cast(KMSClient, strict), present, FakeClock()).open(ONE, sealed, Secrets)


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
