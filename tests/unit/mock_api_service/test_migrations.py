"""Migrations of the sandbox, on items as they were written."""

from tests.support.migrations import database, migration

ENV = {"MOCK_TABLE": "mock"}
LATER = 4_000_000_000
old_grants = migration("mock_api_service", "0001_clear_old_grants")


def test_tokens_of_nobody_and_what_has_expired_go() -> None:
    items: list[dict[str, object]] = [
        {"pk": "grant#old", "sk": "item", "username": "good", "expires_at": LATER},
        {"pk": "grant#new", "sk": "item", "username": "good", "login": "h", "expires_at": LATER},
        {"pk": "grant#expired", "sk": "item", "username": "good", "login": "h", "expires_at": 1},
        {"pk": "reference#new", "sk": "item", "username": "good", "expires_at": LATER},
        {"pk": "reference#expired", "sk": "item", "username": "good", "expires_at": 1},
        {"pk": "controls", "sk": "clock", "virtual_date": "2026-03-01"},
        {"pk": "bills#water#CW4819302K", "sk": "CW-202603-30CC8E", "amount_minor": 100, "times": 1},
    ]
    with database() as base:
        base.create("mock", "pk", "sk")
        base.put("mock", *items)

        for _ in range(2):
            old_grants.up(base.context("mock_api_service", ENV, page=2))
        old_grants.down(base.context("mock_api_service", ENV))

        assert sorted(item["pk"] for item in base.items("mock")) == [
            "bills#water#CW4819302K",
            "controls",
            "grant#new",
            "reference#new",
        ]
