"""Sessions of boto3: LocalStack's own client library for the emulators, plain boto3 on AWS."""

import os
import warnings
from typing import Any  # boto3's clients are made at run time; their types come from the callers

from infra.settings import Settings


def client(settings: Settings, service: str) -> Any:
    """A boto3 client of `service` on the chosen target. Read timeouts are long: emulators run functions on the way."""
    import boto3
    from botocore.config import Config
    from localstack_client.session import Session

    config = Config(read_timeout=120, retries={"max_attempts": 2, "mode": "standard"})
    if not settings.emulated:
        return boto3.client(service, region_name=settings.region, config=config)  # type: ignore[call-overload]
    os.environ["AWS_ENDPOINT_URL"] = settings.endpoint  # where the session takes the endpoint from
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        session = Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=settings.region)  # noqa: S106
        return session.client(service, config=config)
