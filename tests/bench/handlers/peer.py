"""The peer, as many write it today: Powertools' resolver, a boto3 client, pydantic models, a token, a cached read."""

import os
import typing

import boto3
import jwt
import redis
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import UnauthorizedError
from pydantic import BaseModel

app = APIGatewayRestResolver()
dynamodb = boto3.client("dynamodb")
cache = redis.Redis.from_url(os.environ["CACHE_URL"], socket_timeout=1, socket_connect_timeout=1)
keys = {key.key_id: key for key in jwt.PyJWKSet.from_json(os.environ["JWKS"]).keys}


class Bill(BaseModel):
    bill_id: str
    provider_id: str
    due_date: str | None = None
    amount_minor: int
    currency: str
    status: str


class Page(BaseModel):
    items: list[Bill]
    next_cursor: str | None = None


def user_id() -> str:
    token = (app.current_event.headers.get("Authorization") or "").removeprefix("Bearer ")
    try:
        key = keys[jwt.get_unverified_header(token)["kid"]]
        claims = jwt.decode(token, key, algorithms=["ES256"], audience="billing-api", issuer="billing-aggregator")
    except (jwt.PyJWTError, KeyError) as error:
        raise UnauthorizedError("The token does not verify.") from error
    return str(claims["sub"])


@app.get("/bills")
def list_bills() -> Response[str]:
    kept = typing.cast("bytes | None", cache.get(f"bills:{user_id()}"))
    page = Page.model_validate_json(kept) if kept else read()
    return Response(status_code=200, content_type="application/json", body=page.model_dump_json())


def read() -> Page:
    dynamodb.query(TableName=os.environ["BILLS_TABLE"])
    return Page(items=[])


def handler(event: dict[str, typing.Any], context: typing.Any) -> dict[str, typing.Any]:  # Any: Lambda's own
    return app.resolve(event, context)
