"""A demo user with an account at every utility, made through the API. Safe to run again."""

import click
import requests

from infra.client import ApiError, Client, example_params
from infra.console import Failure, say, step

EMAIL, PASSWORD, NAME = "demo@example.com", "correct horse battery staple", "Demo Household"
WAIT = 90.0  # seconds for the first bills


def run(base_url: str) -> None:
    """Registers, links what is not linked yet, and fetches. Raises Failure when the platform does not play along."""
    try:
        _sow(base_url)
    except (ApiError, TimeoutError, requests.RequestException) as error:
        raise Failure(f"seed: {error}", "What the functions say: make logs") from error


def demo_user(base_url: str) -> Client:
    """The demo user, logged in; registered when new."""
    anyone = Client(base_url)
    try:
        anyone.register(EMAIL, PASSWORD, NAME)
    except ApiError as error:
        if error.status != 409:
            raise
    return anyone.login(EMAIL, PASSWORD)


def _sow(base_url: str) -> None:
    with step(f"user {EMAIL}"):
        user = demo_user(base_url)
    linked = {account["provider_id"] for account in user.accounts()}
    for provider in user.providers():
        if provider["linkable"] and provider["provider_id"] not in linked:
            with step(f"linking {provider['name']}"):
                user.link(provider["provider_id"], example_params(provider), "good", "any password")
    with step("fetching bills"):
        user.await_job(user.refresh(), WAIT)
    say(f"{len(user.accounts())} accounts, {len(user.bills().items)} bills")
    click.echo(f"{EMAIL} {PASSWORD}")
