"""The journey of `make demo`: from registration to fresh bills, through the public API alone, each step checked.

`run` prints what happens and answers the exit code: 0, or 1 after naming what a step should have shown and did not.
"""

import secrets
import sys
import time
from collections.abc import Sequence

import click
import requests

from infra import admin
from infra.client import Aggregation, ApiError, Client, Json, example_params
from infra.console import Failure, step
from infra.demo_report import (
    UTILITIES,
    Link,
    bill_table,
    lacking,
    lost_bills,
    new_bills,
    not_exactly_one,
    progress_bar,
    source_faults,
    source_table,
)
from infra.settings import load

JOB_SECONDS = 90.0  # the first refresh starts every function of the platform, each in up to a second


def run(base_url: str) -> int:
    """The whole journey against the API at `base_url`. Works again and again: each run is a household of its own."""
    begun, nobody = time.monotonic(), Client(base_url)
    try:
        operator = _operator(nobody)
        with step("operator: sandbox clock back to today"):
            operator.move_clock(reset=True)
        try:
            _journey(nobody, operator)
        finally:
            operator.move_clock(reset=True)
    except (Failure, ApiError, TimeoutError, requests.RequestException) as error:
        click.secho(f"✗ The demo fell short: {error}", fg="red", err=True)
        return 1
    finally:
        nobody.close()
    click.secho(f"✓ The whole journey took {time.monotonic() - begun:.1f} s.", fg="green")
    return 0


def _operator(nobody: Client) -> Client:
    """A fresh user with the role admin, which only the sandbox's controls need."""
    with step("operator: a user with the role admin"):
        email, password = f"operator-{secrets.token_hex(6)}@example.com", secrets.token_urlsafe(18)
        nobody.register(email, password, "Demo Operator")
        admin.grant(load(), email)
        return nobody.login(email, password)


def _journey(nobody: Client, operator: Client) -> None:
    household = _household(nobody)
    listed = {provider["provider_id"]: provider for provider in household.providers()}
    require_none([name for name in UTILITIES if name not in listed], "in GET /providers")
    utilities = [listed[name] for name in UTILITIES]
    links = [_link(household, utility, "good") for utility in utilities]
    first = _first_bills(household, links)
    second = _a_month_later(household, operator, links, first)
    _two_bad_accounts(household, utilities, links, second)


def _household(nobody: Client) -> Client:
    email, password = f"demo-{secrets.token_hex(6)}@example.com", secrets.token_urlsafe(18)
    with step(f"register {email}"):
        nobody.register(email, password, "Demo Household")
    with step("log in"):
        return nobody.login(email, password)


def _first_bills(household: Client, links: Sequence[Link]) -> Aggregation:
    _refresh(household, "refresh: API → SNS → SQS → listener → utilities", expected="succeeded")
    found = household.bills()
    require_none(lacking(links, found.items), "with a bill")
    click.echo(f"\nAll {len(found.items)} bills:\n\n{bill_table(found.items, links)}\n")
    return found


def _a_month_later(household: Client, operator: Client, links: Sequence[Link], before: Aggregation) -> Aggregation:
    with step("operator: sandbox clock one month on"):
        today = operator.move_clock(advance_months=1)
    _refresh(household, f"refresh by event, as of {today}", expected="succeeded")
    found = household.bills()
    fresh = new_bills(before.items, found.items)
    require_none(not_exactly_one(links, fresh), "with exactly one new bill")
    click.echo(f"\n{len(fresh)} new bills:\n\n{bill_table(fresh, links)}\n")
    return found


def _two_bad_accounts(household: Client, utilities: Sequence[Json], good: Sequence[Link], before: Aggregation) -> None:
    bad = [_link(household, utilities[0], "bad_login"), _link(household, utilities[1], "down")]
    _refresh(household, "refresh with a refused login and a utility that is down", expected="partial")
    found = household.bills()
    click.echo(f"\nSources:\n\n{source_table([*good, *bad], found)}\n")
    faults = source_faults(good, bad, found) + lost_bills(before, found)
    require(not faults, "; ".join(faults))
    click.echo("Only the two new accounts suffer; every other source answers and every bill is still there.")


def _link(household: Client, provider: Json, scenario: str) -> Link:
    """Links an account at the provider; the user name chooses how the sandbox's utility treats it."""
    with step(f"link an account at {provider['name']} ({', '.join(provider['service_types'])}), user name {scenario}"):
        params = example_params(provider)
        made = household.link(provider["provider_id"], params, scenario, secrets.token_urlsafe(12), f"demo {scenario}")
    return Link(made["link_id"], provider["name"], scenario)


def _refresh(household: Client, title: str, expected: str) -> None:
    """Asks for a refresh of all links and shows the job's progress until its end."""
    begun, live = time.monotonic(), _LiveLine()
    click.echo(f"▸ {title}")
    job_id = household.refresh()

    def show(job: Json) -> None:
        known = len(household.bills().items)
        live.show(f"  {progress_bar(job['done'], job['total'])} {job['state']}, {known} bills")

    job = household.await_job(job_id, JOB_SECONDS, watch=show)
    live.end(f"  {time.monotonic() - begun:.1f} s")
    require(
        job["state"] == expected,
        f"the job to end {expected}; it is {job['state']}: "
        + ", ".join(f"{r['link_id']} {r['outcome']} {r.get('error_code') or ''}".strip() for r in job["results"]),
    )


class _LiveLine:
    """On a terminal one line that changes; elsewhere a line per change."""

    def __init__(self) -> None:
        self._terminal, self._last = sys.stdout.isatty(), ""

    def show(self, text: str) -> None:
        if text != self._last:
            click.echo(f"\r\033[K{text}" if self._terminal else text, nl=not self._terminal)
            self._last = text

    def end(self, text: str) -> None:
        click.echo(f"\n{text}" if self._terminal else text)


def require(holds: bool, what: str) -> None:
    if not holds:
        raise Failure(f"missing: {what}")


def require_none(names: Sequence[str], where: str) -> None:
    require(not names, f"{', '.join(names)} {where}")
