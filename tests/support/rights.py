"""Rights: what the policies in template.yaml let each function do, and what the functions did on the embedded engine.

Resources go by their names in the template: `BillsTable`, `BillsTable/index/outbox`, `FilesBucket/imports/*`. Keys and
addresses that are no resource of the stack but named by a parameter go by their kind: `kms:key/{parameter}`.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple  # Any: a template is whatever YAML holds

from infra import template

USED = Path(__file__).parent.parent / "contract/rights.json"
"""Every right that the integration tests have seen a function use."""
BY_PARAMETER = "{parameter}"
NO_VALUE = {"Ref": "AWS::NoValue"}
_OF_RESOURCE = re.compile(r"\$\{(\w+)\.Arn\}(/.+)")
_IN_ACCOUNT = re.compile(r"arn:\$\{AWS::Partition\}:(\w+):\$\{AWS::Region\}:\$\{AWS::AccountId\}:(\w+)/\$\{\w+\}")


class Right(NamedTuple):
    function: str
    action: str
    resource: str

    @property
    def kind(self) -> "Right":
        """The same for all functions, where one piece of code uses the resource in their name."""
        shared = next((name for name in ALIKE if fnmatchcase(self.resource, name)), "")
        return Right("", self.action, shared) if shared else self

    def covers(self, other: "Right") -> bool:
        return self[:2] == other[:2] and fnmatchcase(other.resource, self.resource)


ALIKE = {
    "IdempotencyTable": "functions/common/idempotency_table.py does the same in every function that has the table",
    "*QueueDead": "functions/common/dead_letters.py does the same in every worker",
}
"""Resources that one piece of code uses in the name of several functions: what was seen of one goes for all."""

BY_LUCK: dict[Right, str] = {
    Right("", "dynamodb:DeleteItem", "IdempotencyTable"): "a request that fails: its key is free again",
    Right("UserRpc", "dynamodb:DeleteItem", "SessionsTable"): "a mail that SES refuses: its code is taken back",
    Right("AccountRpc", "dynamodb:PutItem", "LinkKeysTable"): "Accounts.SubmitMfa, which only others call",
    Right("AccountRpc", "dynamodb:ConditionCheckItem", "LinkKeysTable"): "as above",
    Right("AccountRpc", "kms:GenerateDataKey", "CredentialsKey"): "as above",
    Right("AccountRpc", "dynamodb:Query", "LinksTable/index/by_link"): "GetLinkedAccount without a user, as above",
    Right("BillFilesApi", "s3:ListBucket", "FilesBucket"): "no call: with it S3 says of a file that it is not there",
    Right("ImportWorker", "s3:ListBucket", "FilesBucket"): "as above",
    Right("BillFilesApi", "s3:DeleteObject", "FilesBucket/imports/*"): "an upload that is larger than was said",
    Right("ImportWorker", "dynamodb:ConditionCheckItem", "BillsTable"): "the first bills of a link, in an upload",
    Right("BillFilesApi", "dynamodb:Query", "BillsTable"): "a link that is projected while its first file is written",
    Right("ImportWorker", "dynamodb:Query", "BillsTable"): "as above",
    Right("BrokerApi", "dynamodb:DeleteItem", "JobsTable"): "refreshes that cannot be published: their job ends",
    Right("ProviderRpc", "dynamodb:BatchGetItem", "ProvidersTable"): "news of a utility that could not be published",
    Right("WebhookRpc", "dynamodb:BatchWriteItem", "WebhooksTable"): "a user who leaves and has webhooks",
    Right("CredentialsRpc", "kms:Decrypt", f"kms:key/{BY_PARAMETER}"): "credentials under a key that was replaced",
}
"""Rights that the integration tests do not see used, or not each time, and what they are for."""


def by_luck(right: Right) -> bool:
    return any(lucky.covers(right.kind) for lucky in BY_LUCK)


class Unread(ValueError):
    """A policy that says something which this module does not understand, and therefore may not judge."""


def granted(functions: Mapping[str, Mapping[str, Any]] | None = None) -> list[Right]:
    """Of every function, or of these (name → properties). Raises Unread."""
    known = template.functions() if functions is None else functions
    return [right for name, properties in known.items() for right in _rights(name, properties.get("Policies", []))]


def _rights(function: str, policies: Any) -> Iterator[Right]:
    for policy in _each(policies):
        if not isinstance(policy, Mapping) or policy.keys() - {"Version"} != {"Statement"}:
            raise Unread(f"{function}: {policy} is not written out")
        for statement in _each(policy["Statement"]):
            if statement.keys() - {"Sid"} != {"Effect", "Action", "Resource"} or statement["Effect"] != "Allow":
                raise Unread(f"{function}: {statement} is not a plain Allow")
            for resource in _each(statement["Resource"]):
                yield from (Right(function, action, _name(resource)) for action in _each(statement["Action"]))


def _each(node: Any) -> Iterator[Any]:
    """The members of a list, or the one that stands in its place; of an Fn::If both branches."""
    if isinstance(node, list):
        for each in node:
            yield from _each(each)
    elif isinstance(node, Mapping) and node.keys() == {"Fn::If"}:
        yield from _each(node["Fn::If"][1:])
    elif node != NO_VALUE:
        yield node


def _name(resource: Any) -> str:
    match resource:
        case {"Ref": str(name)} if "::" not in name:
            return name
        case {"Fn::GetAtt": str(attribute)} if attribute.endswith(".Arn"):
            return attribute.removesuffix(".Arn")
        case {"Fn::Sub": str(text)}:
            if of_resource := _OF_RESOURCE.fullmatch(text):
                return "".join(of_resource.groups())
            if in_account := _IN_ACCOUNT.fullmatch(text):
                return f"{in_account[1]}:{in_account[2]}/{BY_PARAMETER}"
    raise Unread(f"{resource} is not a resource as policies name them here")


def used(notes: Path, resources: Mapping[str, str]) -> tuple[set[Right], list[str]]:
    """What the engine noted: the rights that were used, and a line for each that was refused.

    `resources`: logical id → physical id of the stack's resources. KeyError for a function that is not among them.
    """
    by_name = {re.split(r"[/:]", physical)[-1]: logical for logical, physical in resources.items() if physical}
    allowed, refused = set(), []
    for line in notes.read_text().splitlines():
        note = json.loads(line)
        right = Right(by_name[note["function"]], note["action"], _logical(note["resource"], by_name))
        if note["refused"]:
            refused.append(f"{right.function}: {right.action} on {note['resource']}")
        else:
            allowed.add(right)
    return allowed, refused


def _logical(arn: str, by_name: Mapping[str, str]) -> str:
    service, *_, resource = arn.split(":", 5)[2:]
    kind, name, rest = _split(resource)
    if name in by_name:
        return by_name[name] + rest
    return f"{service}:{kind}/{BY_PARAMETER}"


def _split(resource: str) -> tuple[str, str, str]:
    """The kind, the name, and what follows it: ("table", "billing-bills", "/index/outbox"); a bucket has no kind."""
    found = re.fullmatch(r"(?:(table|key|identity)/|(function):)?([^/]+)(/.*)?", resource)
    if found is None:
        raise Unread(f"{resource} is not part of an ARN that this module knows")
    return found[1] or found[2] or "", found[3], found[4] or ""


def uncovered(used: Iterable[Right], granted: Iterable[Right]) -> list[Right]:
    """What was done although no policy allows it."""
    policies = list(granted)
    return sorted(right for right in used if not any(policy.covers(right) for policy in policies))


def idle(granted: Iterable[Right], used: Iterable[Right]) -> list[Right]:
    """What policies allow although nobody has done it, nor is there a reason."""
    done = list(used)
    kinds = {each.kind for each in done}
    return sorted(
        right
        for right in set(granted)
        if right.kind not in kinds and right.kind not in BY_LUCK and not any(right.covers(each) for each in done)
    )


def load(path: Path = USED) -> set[Right]:
    kept: dict[str, dict[str, list[str]]] = json.loads(path.read_text())
    return {
        Right(function, action, resource)
        for function, resources in kept.items()
        for resource, actions in resources.items()
        for action in actions
    }


def save(rights: Iterable[Right], path: Path = USED) -> None:
    kept: dict[str, dict[str, list[str]]] = {}
    for function, action, resource in sorted(rights, key=lambda each: (each.function, each.resource, each.action)):
        kept.setdefault(function, {}).setdefault(resource, []).append(action)
    path.write_text(json.dumps(kept, indent=1) + "\n")
