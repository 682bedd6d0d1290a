"""How an account is found by its number without the number being kept."""

import hashlib
import hmac

from functions.account_linking_service.model import AccountHash, ProviderId, UserId, normalised


def account_hash(key: bytes, provider_id: ProviderId, number: str) -> AccountHash:
    """Keyed: who has the table alone cannot try all numbers."""
    return AccountHash(hmac.new(key, f"{provider_id}\0{normalised(number)}".encode(), hashlib.sha256).hexdigest())


def manual_hash(key: bytes, provider_id: ProviderId, user_id: UserId) -> AccountHash:
    """In place of a number, for a user's one link that files feed. Numbers are hashed in upper case: none meets it."""
    return AccountHash(hmac.new(key, f"{provider_id}\0manual\0{user_id}".encode(), hashlib.sha256).hexdigest())
