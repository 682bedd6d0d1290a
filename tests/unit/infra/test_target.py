"""Where a receiver of webhooks may be on this machine."""

import pytest

from infra import settings, target


@pytest.mark.parametrize(("engine", "receiver"), [(4566, 14_566), (4701, 14_701), (60_000, 50_000)])
def test_a_receiver_s_port_follows_from_the_engine_s(engine: int, receiver: int) -> None:
    embedded = settings.load({"AWS_ENDPOINT_URL": f"http://127.0.0.1:{engine}"})

    assert target.receiver_origin(embedded) == f"http://127.0.0.1:{receiver}"


def test_on_aws_there_is_none() -> None:
    assert target.receiver_origin(settings.load({"TARGET": "aws", "STAGE": "prod"})) == ""


def test_nor_where_functions_run_in_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "in_docker", lambda _: True)

    assert target.receiver_origin(settings.load({"TARGET": "localstack"})) == ""
