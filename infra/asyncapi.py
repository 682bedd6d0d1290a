"""Writes docs/asyncapi/asyncapi.json: who sends and who gets which event, as AsyncAPI 3.0, from catalogue and template.

https://www.asyncapi.com/docs/reference/specification/v3.0.0. Channels are the topic and the queues behind it, by their
logical ids; what a queue gets is what its subscription's filter policy lets through.
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
                "Every event is a CloudEvents 1.0 document in JSON. Only the broker publishes. Delivery is at least "
                "once and in any order: an event's id tells a second delivery, the version in its data orders what it "
                "is about."
            ),
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {
            TOPIC: _channel(TOPIC, "SNS topic of all events", CATALOGUE),
            **{queue: _channel(queue, f"SQS queue behind {TOPIC}", types) for queue, types in filters.items()},
        },
        "operations": {
            "publish": _operation("send", TOPIC, "The broker publishes what the services hand to it", CATALOGUE),
            **{
                name: _operation("receive", queue, summary, filters[queue])
                for name, (queue, summary) in workers().items()
                if queue in filters
            },
        },
        "components": {"messages": {name: _message(cls) for name, cls in CATALOGUE.items()}},
    }


def subscriptions() -> dict[str, list[str]]:
    """Event types that each queue gets from the topic: those of its filter, or all."""
    everything = {"type": list(CATALOGUE)}
    return {
        str(resource["Properties"]["Endpoint"]["Fn::GetAtt"]).partition(".")[0]: list(
            resource["Properties"].get("FilterPolicy", everything)["type"]
        )
        for resource in template.read()["Resources"].values()
        if resource["Type"] == "AWS::SNS::Subscription" and resource["Properties"]["TopicArn"] == {"Ref": "EventsTopic"}
    }


def workers() -> dict[str, tuple[str, str]]:
    """Queue and description of each function that is called by a queue."""
    return {
        name: (str(event["Properties"]["Queue"]["Fn::GetAtt"]).partition(".")[0], properties["Description"])
        for name, properties in template.functions().items()
        for event in properties.get("Events", {}).values()
        if event["Type"] == "SQS"
    }


def _channel(name: str, title: str, types: "dict[str, type[EventData]] | list[str]") -> Json:
    messages = {kind: {"$ref": f"#/components/messages/{kind}"} for kind in types}
    return {"address": name, "title": title, "messages": messages}


def _operation(action: str, channel: str, summary: str, types: "dict[str, type[EventData]] | list[str]") -> Json:
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
        "headers": {
            "type": "object",
            "description": "SNS message attributes, by which subscriptions are filtered.",
            "properties": {"type": {"const": cls.TYPE}},
            "required": ["type"],
        },
        "correlationId": {"location": "$message.payload#/correlationid"},
        "payload": {"$ref": f"../events/{cls.TYPE}.json"},
    }
