"""Another key signs access tokens, and nobody is logged out (ADR 0007).

A deploy changes one function after the other, so a new key is first published everywhere and only then used:

| deploy | JWKS, the first signs |
|---|---|
| before | old |
| first | old, new |
| second | new, old |

The old key verifies until the next rotation. Whatever fails on the way, the command goes on from there when it is
called again; a plain deploy in between is safe as well.
"""

import time
from typing import TYPE_CHECKING

from infra import build, deploy, signing_key, stack
from infra.aws import client
from infra.console import Failure, say, step
from infra.settings import Settings, Target

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

OVERLAP_SECONDS = 1200
"""How long a retired key must go on verifying: longer than an access token lives."""
DELETION_DAYS = 7
"""How long KMS keeps a key that is to be deleted, which may be undone until then; its least."""
RETIRED_AT = "retired-at"
"""Tag of a key: when the last function stopped signing with it, in seconds of the epoch."""


def rotate(settings: Settings, *, force: bool = False) -> None:
    """Makes a new key, publishes it, lets it sign. Raises Failure when tokens of the key before the present one may
    still be about, unless `force`: then those are refused at once, and their holders have to refresh."""
    _check(settings)
    kms: KMSClient = client(settings, "kms")
    aliases = signing_key.Aliases.of(settings.stage)
    if _half_done(kms, aliases):
        say("the last rotation did not come to its end: going on with it")
        deploy.deploy(settings)
    else:
        with step("new signing key"):
            prepare(settings, kms, aliases, force=force)
        deploy.deploy(settings)
        with step("the new key signs, the old one verifies"):
            promote(kms, aliases)
        with build.one_at_a_time():
            deploy.release(settings)
    retire(kms, aliases)
    say(f"rotated: tokens of the old key are good until they expire; again possible in {OVERLAP_SECONDS // 60} minutes")


def _check(settings: Settings) -> None:
    if settings.target is Target.LOCALSTACK:
        raise Failure(
            "LocalStack cannot change a stack in place, so a rotation there would lose its data.",
            "make reset there, or rotate on another target.",
        )
    if not stack.deployed(settings):
        raise Failure(
            f"The stack {settings.stack_name} is not deployed on {settings.target}.", "make up, or make deploy"
        )


def _half_done(kms: "KMSClient", aliases: signing_key.Aliases) -> bool:
    """Whether the aliases were moved, but the deploy after that did not end."""
    if signing_key.find(kms, aliases.upcoming):
        return False
    previous = signing_key.find(kms, aliases.previous)
    return previous is not None and _retired_at(kms, previous) is None


def prepare(settings: Settings, kms: "KMSClient", aliases: signing_key.Aliases, *, force: bool) -> None:
    """There is an upcoming key: a new one, or that of a rotation that was broken off before it signed."""
    if signing_key.find(kms, aliases.upcoming):
        return
    previous = signing_key.find(kms, aliases.previous)
    retired_at = _retired_at(kms, previous) if previous else None
    wait = (retired_at or 0) + OVERLAP_SECONDS - time.time()
    if wait > 0 and not force:
        raise Failure(
            "Tokens that the previous key signed may still be good.",
            f"Again in {wait / 60:.0f} minutes; or make rotate-keys FORCE=1, which refuses those tokens at once.",
        )
    kms.create_alias(AliasName=aliases.upcoming, TargetKeyId=signing_key.make(settings, kms))


def promote(kms: "KMSClient", aliases: signing_key.Aliases) -> None:
    """The upcoming key signs, the one that signed is the previous one, and the one before that is to be deleted.

    In an order that can be broken off anywhere: no key that still verifies is without an alias.
    """
    upcoming, signing = signing_key.find(kms, aliases.upcoming), signing_key.find(kms, aliases.signing)
    oldest = signing_key.find(kms, aliases.previous)
    if upcoming is None or signing is None:
        raise Failure("There is no new key to sign with.", "make rotate-keys")
    if upcoming != signing:
        if oldest is None:
            kms.create_alias(AliasName=aliases.previous, TargetKeyId=signing)
        elif oldest != signing:
            kms.update_alias(AliasName=aliases.previous, TargetKeyId=signing)
            kms.schedule_key_deletion(KeyId=oldest, PendingWindowInDays=DELETION_DAYS)
        kms.update_alias(AliasName=aliases.signing, TargetKeyId=upcoming)
    kms.delete_alias(AliasName=aliases.upcoming)


def retire(kms: "KMSClient", aliases: signing_key.Aliases) -> None:
    """From now on no function signs with the previous key."""
    previous = signing_key.find(kms, aliases.previous)
    if previous is not None:
        kms.tag_resource(KeyId=previous, Tags=[{"TagKey": RETIRED_AT, "TagValue": str(int(time.time()))}])


def _retired_at(kms: "KMSClient", key_id: str) -> int | None:
    tags = {tag["TagKey"]: tag["TagValue"] for tag in kms.list_resource_tags(KeyId=key_id)["Tags"]}
    return int(tags[RETIRED_AT]) if RETIRED_AT in tags else None
