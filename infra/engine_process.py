"""The embedded engine's own process: MiniStack, which holds every function to its policies, as AWS does (AUTH=true).

Added here: under which name and on what AWS checks some calls, and a note of each right that a function has used or was
refused (`tests/support/rights.py` reads them). Started by its path and with -P, so that functions, whose processes are
its children, find nothing of this repository.
"""

import json
import os
from pathlib import Path
from typing import Any  # MiniStack is untyped

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.services import sts

NOTES = Path(os.environ["RIGHTS_NOTES"])
# Service Authorization Reference: who may do the one may do many of it
SINGLE = {"sns:PublishBatch": "sns:Publish", "sqs:SendMessageBatch": "sqs:SendMessage"}

_evaluate = iam_evaluator.enforce
_resource = iam_actions.extract_resource_arn
_pin_origin = app.pin_request_origin
_noted: set[tuple[str, str, str, bool]] = set()


def enforce(key_id: str, action: str, service: str, region: str, resource_arn: str = "*", **more: Any) -> Any:
    """None when the caller may; what MiniStack answers to the caller when not."""
    right = SINGLE.get(action, action)
    refusal = _evaluate(key_id, right, service, region, resource_arn, **more)
    if function := _function(key_id):
        _note(function, right, _folder(resource_arn), refused=refusal is not None)
    return refusal


def resource_of(service: str, method: str, path: str, headers: Any, body: bytes, query: Any, *where: str) -> str:
    """ARN of what a call is about. A mail by version 1 of SES's API is about its sender's identity."""
    region, account = where
    if service == "ses" and "Source" in query:
        return f"arn:aws:ses:{region}:{account}:identity/{''.join(query['Source'])}"
    return str(_resource(service, method, path, headers, body, query, *where))


def pin_origin(address: str, _secure: object) -> None:
    """Calls pass for encrypted ones, as the bucket's policy demands: this engine has no TLS."""
    _pin_origin(address, True)


def _function(key_id: str) -> str:
    """Name of the function that holds these credentials; "" for the account's owner."""
    arn = (sts._sessions.get(key_id) or {}).get("Arn", "")  # noqa: SLF001 - there is no other way to ask
    return str(arn).rpartition("/")[2] if ":assumed-role/" in arn else ""


def _folder(resource_arn: str) -> str:
    """An object's ARN without its name: what rights are given for."""
    bucket, slash, key = resource_arn.partition("/")
    return f"{bucket}/{key.partition('/')[0]}/*" if slash and ":s3:::" in bucket else resource_arn


def _note(function: str, right: str, resource: str, *, refused: bool) -> None:
    """Once each, until the file is deleted."""
    if not NOTES.exists():
        _noted.clear()
    entry = (function, right, resource, refused)
    if entry not in _noted:
        _noted.add(entry)
        line = {"function": function, "action": right, "resource": resource, "refused": refused}
        with NOTES.open("a") as notes:
            notes.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    iam_evaluator.enforce, iam_actions.extract_resource_arn, app.pin_request_origin = enforce, resource_of, pin_origin
    app.main()
