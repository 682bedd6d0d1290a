import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra import cost, cost_tables
from infra.console import Failure
from infra.cost import Assumptions, Measured
from infra.prices import PRICES

ASSUMED = Assumptions(lambda_factor=2.0, architecture="x86_64", refreshes=100, new_bills=1, looks=20, reads=10)


def flow(invocations: float, milliseconds: float, sweeps: float = 0.0, **calls: float) -> dict[str, Any]:
    """`sweeps`: how many there were for one unit, of the invocations and milliseconds."""
    return {
        "functions": {
            "One": {"invocations": invocations - sweeps, "billed_ms": milliseconds},
            "Sweep": {"invocations": sweeps, "billed_ms": 0},
        },
        "log_bytes": 0,
        "cache": {"commands": 0, "kilobytes": 0, "ecpus": 0},
        "calls": calls,
    }


@pytest.fixture
def measured() -> Measured:
    flows = {
        "cached_read": flow(1, 10) | {"answer_bytes": 1_000_000},
        "idle_sweep": flow(10, 1000, sweeps=1, dynamodb_read_units=40.0),
        "refresh_unchanged": flow(6, 200, sweeps=0.1, dynamodb_read_units=5.0, kms_requests=1.0),
        "look_at_a_due_date": flow(2, 50, sweeps=0.1, dynamodb_write_units=2.0),
        "refresh_with_a_new_bill": flow(8, 300, sweeps=0.1, dynamodb_write_units=20.0, sns_requests=1.0),
    }
    return Measured({"date": "2026-01-01", "machine": "one", "load": 0.1, "memory_mb": 1024}, flows)


def test_a_million_cached_reads(measured: Measured) -> None:
    million = cost.times(cost.cached_read(measured, ASSUMED), 1e6)

    assert million["api_requests"] == pytest.approx(3.50)
    assert million["lambda_requests"] == pytest.approx(0.20)
    assert million["lambda_gb_seconds_x86_64"] == pytest.approx(1e6 * 0.020 * 0.0000166667)
    assert million["data_out_gb"] == pytest.approx(1000 * 0.09)


def test_the_factor_makes_milliseconds_dearer_and_nothing_else(measured: Measured) -> None:
    once, twice = (cost.cached_read(measured, replace(ASSUMED, lambda_factor=factor)) for factor in (1.0, 2.0))

    assert {name for name in once if once[name] != twice[name]} == {"lambda_gb_seconds_x86_64"}
    assert twice["lambda_gb_seconds_x86_64"] == pytest.approx(2 * once["lambda_gb_seconds_x86_64"])


def test_memory_and_architecture_make_the_price_of_a_millisecond(measured: Measured) -> None:
    half = Measured({**measured.about, "memory_mb": 512}, measured.flows)
    arm = Assumptions(architecture="arm64")

    assert cost.cached_read(half, arm)["lambda_gb_seconds_arm64"] == pytest.approx(0.010 * 2 * 0.5 * 0.0000133334)


def test_of_a_refresh_the_sweep_is_taken_off_that_runs_anyway(measured: Measured) -> None:
    refresh = cost.refresh(measured, "refresh_unchanged", ASSUMED, nat=False)

    assert refresh["lambda_requests"] == pytest.approx((6 - 10 * 0.1) * 0.20 / 1e6)
    assert refresh["dynamodb_read_units"] == pytest.approx((5 - 40 * 0.1) * 0.125 / 1e6)
    assert refresh["kms_requests"] == pytest.approx(0.03 / 10_000)
    assert "nat_gb" not in refresh


def test_what_the_noise_of_measuring_would_make_negative_is_nothing(measured: Measured) -> None:
    assert cost.refresh(measured, "refresh_with_a_new_bill", ASSUMED, nat=False)["dynamodb_read_units"] == 0


def test_the_way_through_nat_costs_by_the_byte(measured: Measured) -> None:
    assert cost.refresh(measured, "refresh_unchanged", ASSUMED, nat=True)["nat_gb"] == pytest.approx(50e3 / 1e9 * 0.045)


def test_an_idle_month_is_the_sweep_polling_and_what_is_there(measured: Measured) -> None:
    has = {"queues": 6, "kms_keys": 3, "alarms": 10, "caches": 1, "nat_gateways": 2, "endpoint_zones": 8}

    idle = cost.idle_month(measured, has, ASSUMED)

    assert idle["sqs_requests"] == pytest.approx(6 * 5 * 3 * 60 * 730 * 0.40 / 1e6)
    assert idle["kms_keys"] == pytest.approx(4.00), "and the one that signs tokens"
    assert idle["alarms"] == pytest.approx(1.00)
    assert idle["cache_gb_hours"] == pytest.approx(0.1 * 730 * 0.084)
    assert idle["nat_hours"] == pytest.approx(2 * 730 * 0.045)
    assert idle["endpoint_hours"] == pytest.approx(8 * 730 * 0.01)
    assert idle["lambda_requests"] == pytest.approx(10 * 43_800 * 0.20 / 1e6)


def test_a_kept_snapshot_costs_by_memory_and_second(measured: Measured) -> None:
    idle = cost.idle_month(measured, {"snapshot_mb": 2048}, ASSUMED)

    assert idle["snapstart_cache_gb_seconds"] == pytest.approx(2 * 730 * 3600 * 0.0000015046)


def test_a_month_is_linear_in_links_above_the_idle_one(measured: Measured) -> None:
    none, one, two = (sum(cost.month(measured, {}, ASSUMED, links).values()) for links in (0, 1000, 2000))
    unchanged, changed = (
        sum(cost.refresh(measured, name, ASSUMED, nat=False).values())
        for name in ("refresh_unchanged", "refresh_with_a_new_bill")
    )
    reads = sum(cost.cached_read(measured, ASSUMED).values())

    looks = sum(cost.swept(measured, "look_at_a_due_date", ASSUMED).values())

    assert one - none == pytest.approx(1000 * (99 * unchanged + changed + 20 * looks + 10 * reads))
    assert two - one == pytest.approx(one - none)


def test_stages_are_priced_as_they_are_deployed() -> None:
    stages = cost.deployments()

    assert {stage["Architecture"] for stage in stages.values()} == {Assumptions().architecture}
    prod, dev, bare = cost.inventories().values()
    assert prod["nat_gateways"] > dev["nat_gateways"] > bare["nat_gateways"] == 0
    assert prod["web_acls"] == 1
    assert prod["endpoint_zones"] > 0
    assert prod["caches"] == dev["caches"] == 1
    assert prod["alarms"] > 30


def test_every_price_is_for_something_and_has_a_page() -> None:
    assert all(price.usd > 0 and price.per >= 1 and price.page.endswith("/") for price in PRICES.values())


class TestTables:
    def test_the_dearest_comes_first_and_what_costs_nothing_is_left_out(self) -> None:
        made = cost_tables.costs("per month", {"a": {"x": 1.0, "y": 2.0, "z": 0.0}, "b": {"x": 5.0}}, digits=2)

        assert made.splitlines() == [
            "| per month | a | b |",
            "| --- | ---: | ---: |",
            "| `x` | 1.00 | 5.00 |",
            "| `y` | 2.00 | 0.00 |",
            "| **all** | **3.00** | **5.00** |",
        ]

    def test_a_table_takes_the_place_of_the_one_before(self) -> None:
        text = "before <!-- idle: made by make docs -->old<!-- end of idle --> after"

        assert cost_tables.placed(text, "idle", "new") == (
            "before <!-- idle: made by make docs -->\n\nnew\n\n<!-- end of idle --> after"
        )

    @pytest.mark.parametrize("text", ["", "<!-- idle: made by make docs -->", "<!-- end of idle -->"])
    def test_a_document_without_a_place_for_it_is_told_of(self, text: str) -> None:
        with pytest.raises(Failure, match="no place for the table of idle"):
            cost_tables.placed(text, "idle", "new")

    def test_every_table_is_made_of_any_measurement(self, measured: Measured) -> None:
        assert all("|" in made for made in cost_tables.tables(measured, ASSUMED).values())

    def test_a_fresh_document_has_every_table_once(self, tmp_path: Path) -> None:
        cost_tables.generate(tmp_path)

        made = (tmp_path / cost_tables.DOCUMENT).read_text()
        assert all(made.count(text) == 1 for text in cost_tables.tables(cost.read(), Assumptions()).values())


def test_without_measurements_there_is_something_to_do(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="missing"):
        cost.read(tmp_path / "measurements.json")


def test_measurements_are_read_as_they_were_written(tmp_path: Path, measured: Measured) -> None:
    path = tmp_path / "measurements.json"
    path.write_text(json.dumps({"about": measured.about, "flows": measured.flows}))

    assert cost.read(path) == measured
