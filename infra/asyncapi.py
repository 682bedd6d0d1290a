"""Writes docs/asyncapi/asyncapi.json: who sends and who gets which event, as AsyncAPI 3.0, from catalogue and template.

https://www.asyncapi.com/docs/reference/specification/v3.0.0. Channels are the topic and the queues behind it, by their
logical ids; what a queue gets is what its subscription's filter policy lets through. A queue behind no topic is written
to by a function itself: `DIRECT`.
"""

import json
from pathlib import Path
from typing import Any  # Any: JSON, and a template is whatever YAML holds

from functions.contracts.events.catalogue import CATALOGUE
from functions.contracts.events.envelope import EventData
from infra import template

OUTPUT = Path("docs/asyncapi/asyncapi.json")
TOPIC = "EventsTopic"
CONTENT_TYPE = "application/cloudevents+json"
DIRECT = {"ImportQueue": ["bills.import_requested.v1"]}
"""Queues that are not behind the topic, and the types that their senders put there; no other queue gets these."""

Json = dict[str, Any]


def generate(into: Path) -> None:
    """Writes the document at its place under the folder `into`."""
    path = into / OUTPUT
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document(), indent=2) + "\n")


def document() -> Json:
    filters = subscriptions()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Billing Aggregator events",
            "version": "1",
            "description": (
                "Every event is a CloudEvents 1.0 document in JSON. Only the broker publishes to the topic. Delivery "
                "is at least once and in any order: an event's id tells a second delivery, the version in its data "
                "orders what it is about."
            ),
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {
            TOPIC: _channel(TOPIC, "SNS topic of events", of_topic()),
            **{queue: _channel(queue, f"SQS queue behind {TOPIC}", types) for queue, types in filters.items()},
            **{queue: _channel(queue, "SQS queue of its own", types) for queue, types in DIRECT.items()},
        },
        "operations": _operations({**filters, **DIRECT}),
        "components": {"messages": {name: _message(cls) for name, cls in CATALOGUE.items()}},
    }


def of_topic() -> list[str]:
    """Event types that the broker publishes."""
    direct = {kind for types in DIRECT.values() for kind in types}
    return [kind for kind in CATALOGUE if kind not in direct]


def subscriptions() -> dict[str, list[str]]:
    """Event types that each queue gets from the topic: those of its filter, or all."""
    everything = {"type": of_topic()}
    return {
        str(resource["Properties"]["Endpoint"]["Fn::GetAtt"]).partition(".")[0]: list(
            resource["Properties"].get("FilterPolicy", everything)["type"]
        )
        for resource in template.read()["Resources"].values()
        if resource["Type"] == "AWS::SNS::Subscription" and resource["Properties"]["TopicArn"] == {"Ref": "EventsTopic"}
    }


def senders(queue: str) -> dict[str, str]:
    """Description of each function that is told of this queue to send to it."""
    return {
        name: properties["Description"]
        for name, properties in template.functions().items()
        if {"Ref": queue} in properties.get("Environment", {}).get("Variables", {}).values()
    }


def workers() -> dict[str, tuple[str, str]]:
    """Queue and description of each function that is called by a queue."""
    return {
        name: (str(event["Properties"]["Queue"]["Fn::GetAtt"]).partition(".")[0], properties["Description"])
        for name, properties in template.functions().items()
        for event in properties.get("Events", {}).values()
        if event["Type"] == "SQS"
    }


def _operations(queues: dict[str, list[str]]) -> Json:
    """`queues`: the types that each gets."""
    sent = {name: (queue, summary) for queue in DIRECT for name, summary in senders(queue).items()}
    return {
        "publish": _operation("send", TOPIC, "The broker publishes what the services hand to it", of_topic()),
        **{name: _operation("send", queue, summary, queues[queue]) for name, (queue, summary) in sent.items()},
        **{name: _operation("receive", queue, summary, queues[queue]) for name, (queue, summary) in workers().items()},
    }


def _channel(name: str, title: str, types: list[str]) -> Json:
    messages = {kind: {"$ref": f"#/components/messages/{kind}"} for kind in types}
    return {"address": name, "title": title, "messages": messages}


def _operation(action: str, channel: str, summary: str, types: list[str]) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{kind}"} for kind in types],
    }


def _message(cls: type[EventData]) -> Json:
    return {
        "name": cls.TYPE,
        "title": cls.TYPE,
        "summary": " ".join((cls.__doc__ or "").split()),
        "contentType": CONTENT_TYPE,
        **(_attributes(cls) if cls.TYPE in of_topic() else {}),
        "correlationId": {"location": "$message.payload#/correlationid"},
        "payload": {"$ref": f"../events/{cls.TYPE}.json"},
    }


def _attributes(cls: type[EventData]) -> Json:
    return {
        "headers": {
            "type": "object",
            "description": "SNS message attributes, by which subscriptions are filtered.",
            "properties": {"type": {"const": cls.TYPE}},
            "required": ["type"],
        }
    }
