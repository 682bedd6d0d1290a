"""`make down && make up` keeps the data. Comes last: it restarts the engine."""

import pytest

from infra import engine, local, target
from infra.client import Client
from infra.settings import Target
from tests.integration.household import Household
from tests.integration.platform import Platform


def test_data_survive_a_restart(platform: Platform, settled: Household) -> None:
    own = platform.settings.target is Target.EMBEDDED and engine.daemon(platform.settings).process() is not None
    if platform.settings.target is Target.LOCALSTACK:
        pytest.skip("community LocalStack keeps no state: it comes up empty")
    if not own:
        pytest.skip("only an engine that was started from here may be restarted")
    before = settled.client.bills()

    target.stop(platform.settings)
    target.start(platform.settings)

    again = Client(local.url(platform.settings)).login(settled.email, settled.password)
    assert again.base_url == platform.base_url
    after = again.bills()
    assert after.items == before.items
    assert {source["link_id"] for source in after.sources} == {source["link_id"] for source in before.sources}
