import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest

from functions.common import aws


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    for build in (aws.kms, aws.ses, aws.sns, aws.lambda_invoke):
        build.cache_clear()
    yield
    for build in (aws.kms, aws.ses, aws.sns, aws.lambda_invoke):
        build.cache_clear()


def test_each_client_is_built_once() -> None:
    assert aws.kms() is aws.kms()
    assert aws.sns().meta.service_model.service_name == "sns"
    assert aws.ses().meta.service_model.service_name == "ses"
    assert aws.kms().meta.service_model.service_name == "kms"


def test_a_lambda_invoke_is_never_repeated_behind_the_callers_back() -> None:
    config: Any = aws.lambda_invoke().meta.config  # Any: botocore's options are dynamic

    assert config.retries["total_max_attempts"] == 1
    assert config.max_pool_connections == 64


def test_no_client_waits_longer_than_a_gateway() -> None:
    for client in (aws.kms(), aws.ses(), aws.sns()):
        config: Any = client.meta.config
        assert config.connect_timeout + config.read_timeout < 28


def test_the_first_calls_of_a_fan_out_build_one_client_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = threading.Semaphore(1)

    def client(*args: object, **options: object) -> object:
        assert inside.acquire(blocking=False), "two at a time"
        time.sleep(0.02)
        inside.release()
        return object()

    monkeypatch.setattr(boto3, "client", client)
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(build) for build in (aws.kms, aws.sns, aws.lambda_invoke) * 4]:
            done.result()
