"""A short run of `make fuzz`: some cases of every operation, the sandbox's controls left out."""

from infra import fuzz
from infra.client import Client
from tests.integration.platform import Platform

CASES = 100


def test_every_answer_is_one_that_the_openapi_document_tells_of(platform: Platform, operator: Client) -> None:
    assert fuzz.run(platform.settings, platform.base_url, CASES, short=True) >= CASES
