"""The base of every HTTP app: a Chalice app that owns what all routes share.

A request runs through `ServiceApp._answer`: body size → who is asking → rate limit (and cached read) → role →
idempotency → the handler. Handlers return a msgspec Struct, a JSON-like value or an `Answer`, and raise AppErrors.
"""

import base64
import functools
import json
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec
from chalice.app import Chalice, Request, Response

from functions.common import logs
from functions.common.cache import Cache, Cached, Entry
from functions.common.context import CORRELATION_HEADER, TRACE_HEADER, correlation_id, invocation
from functions.common.errors import (
    AppError,
    FieldError,
    InvalidInput,
    MalformedBody,
    PayloadTooLarge,
    PermissionDenied,
    RateLimited,
    UnsupportedMediaType,
)
from functions.common.http import request_line
from functions.common.http.answer import Answer, kept, reply, unless_known, unrouted
from functions.common.http.auth import Principal, TokenVerifier, UserId
from functions.common.http.etag import check_if_match
from functions.common.http.headers import SECURITY_HEADERS, cors_headers, with_cors
from functions.common.http.problem import problem
from functions.common.http.route import JSON, RouteSpec
from functions.common.http.snapshot import prepare
from functions.common.rate_limit import Limit, rate_limit_headers
from functions.common.settings import ActionSettings, HttpSettings, IdempotencySettings, SettingsError, load
from functions.common.validation import MAX_NAME, decode_object, parse, parse_query

if TYPE_CHECKING:
    from functions.common.actions import Actions
    from functions.common.idempotency import Idempotency

log = logging.getLogger(__name__)
audit = logging.getLogger(logs.AUDIT)

GATEWAY_SECONDS = 28.0
"""API Gateway gives up after 29 s: nobody waits longer for an answer."""
MIN_SECRET_CHARS = 16
NOBODY = Principal(UserId(""))
NOTHING_CACHED = Cached()
S = TypeVar("S", bound=msgspec.Struct)
Handler = Callable[..., object]

__all__ = ["Answer", "RouteSpec", "ServiceApp"]


class ServiceApp(Chalice):
    """One per service: `app = ServiceApp("user-service")`. Importing it reads no environment and opens no
    connection."""

    principal: Principal
    cached: Cached
    _headers: Mapping[str, str]
    _query: msgspec.Struct | None = None

    def __init__(self, name: str, environ: Mapping[str, str] = os.environ) -> None:
        super().__init__(app_name=name, configure_logs=False, env={})
        self.api.binary_types = []
        self.specs: dict[tuple[str, str], RouteSpec] = {}
        self._environ = environ
        prepare(environ)

    @functools.cached_property
    def settings(self) -> HttpSettings:
        return load(HttpSettings, self._environ)

    @functools.cached_property
    def cache(self) -> Cache:
        return Cache(self.settings.cache_url, self.settings.cache_timeout_ms)

    @functools.cached_property
    def verifier(self) -> TokenVerifier:
        return TokenVerifier(self.settings.jwks, self.settings.token_issuer, self.settings.token_audience)

    @functools.cached_property
    def idempotency(self) -> "Idempotency":
        # Here, not above: PynamoDB costs 300 ms of cold start, and most requests have no key.
        from functions.common.idempotency import Idempotency
        from functions.common.idempotency_table import DynamoRecords

        settings = load(IdempotencySettings, self._environ)
        if len(settings.idempotency_secret) < MIN_SECRET_CHARS:
            raise SettingsError(f"IDEMPOTENCY_SECRET: shorter than {MIN_SECRET_CHARS} characters")
        return Idempotency(DynamoRecords(settings.idempotency_table), settings.idempotency_secret.encode())

    @functools.cached_property
    def actions(self) -> "Actions":
        from functions.common.actions import PostedActions
        from functions.common.clock import SystemClock
        from functions.common.rpc.client import Stub, channel_to
        from functions.contracts.rpc import broker_pb2

        target = load(ActionSettings, self._environ).rpc_broker
        broker = Stub(broker_pb2.DESCRIPTOR.services_by_name["Broker"], channel_to(target))
        return PostedActions(broker, SystemClock())

    # Chalice's own signature is (path, **kwargs: Any); this one names what our routes may say.
    def route(  # type: ignore[override]
        self,
        path: str,
        *,
        methods: Sequence[str],
        public: bool = False,
        role: str | None = None,
        policy: str = "",
        content_types: Sequence[str] = (JSON,),
        cached: Callable[[], Entry | None] | None = None,
        body: type[msgspec.Struct] | None = None,
        query: type[msgspec.Struct] | None = None,
        returns: type[msgspec.Struct] | None = None,
        body_optional: bool = False,
        produces: str = JSON,
        also_produces: Sequence[str] = (),
        headers: Sequence[str] = (),
        status: int = 200,
        errors: Sequence[int] = (),
        idempotent: bool = False,
        etag: bool = False,
        summary: str = "",
    ) -> Callable[[Handler], Handler]:
        """Registers a handler. Without `public` a valid token is needed, with `role` also that role.

        What answers GET answers HEAD as well (RFC 9110 section 9.3.2); the template lists both.
        """
        methods = list(dict.fromkeys([*methods, "HEAD"] if "GET" in methods else methods))
        spec = RouteSpec(
            public=public,
            role=role,
            policy=policy or ("address" if public else "user"),
            content_types=tuple(content_types),
            cached=cached,
            body=body,
            query=query,
            returns=returns,
            body_optional=body_optional,
            produces=produces,
            also_produces=tuple(also_produces),
            headers=tuple(headers),
            status=status,
            errors=tuple(errors),
            idempotent=idempotent,
            etag=etag,
            summary=summary,
        )

        def register(handler: Handler) -> Handler:
            @functools.wraps(handler)
            def view(**path_params: str) -> Response:
                return self._answer(spec, handler, path_params)

            for method in methods:
                self.specs[path, method] = spec
            # No content types for Chalice: it would judge GET as well, and answer in its own format.
            super(ServiceApp, self).route(path, methods=methods, content_types=[], name=handler.__name__)(view)
            return handler

        return register

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:  # Any: Lambda's own event and context
        started = time.perf_counter()
        if not logs.configured():
            logs.configure(self._environ.get("LOG_LEVEL", "INFO"))
        asked = event.get("requestContext") or {}
        self._headers = headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        self._event, self.cached, self._query = event, NOTHING_CACHED, None
        left = context.get_remaining_time_in_millis() / 1000 - 0.5 if context else GATEWAY_SECONDS
        parent = headers.get(TRACE_HEADER)
        address = str((asked.get("identity") or {}).get("sourceIp") or "")
        with invocation(headers.get(CORRELATION_HEADER.lower()), min(left, GATEWAY_SECONDS), parent, address):
            answer = self._route(event, context)
            answer["headers"] = {
                **SECURITY_HEADERS,
                CORRELATION_HEADER: correlation_id(),
                **with_cors(answer["headers"], self._cors(headers.get("origin"))),
            }
            if isinstance(answer["body"], bytes):
                answer |= {"body": base64.b64encode(answer["body"]).decode(), "isBase64Encoded": True}
            seconds = time.perf_counter() - started
            stage = "" if self.cached is NOTHING_CACHED else self.settings.stage
            request_line.tell(log, stage, self.app_name, asked, answer["statusCode"], seconds, self.cached.found)
            return answer

    # What handlers use.

    @property
    def request(self) -> Request:
        return cast(Request, self.current_request)

    @property
    def query(self) -> dict[str, str]:
        """Query parameters; of a repeated one, the last."""
        return dict(self.request.query_params or {})

    @property
    def raw_body(self) -> bytes:
        return cast(bytes, self.request.raw_body)

    def header(self, name: str) -> str | None:
        return self._headers.get(name.lower())

    def json_object(self) -> dict[str, Any]:  # Any: JSON of any shape
        """The body as a JSON object, for handlers that must look at one field before they judge the rest."""
        if not self.raw_body:
            raise MalformedBody("A JSON object is needed as body.")
        return decode_object(self.raw_body)

    def read(self, cls: type[S]) -> S:
        """The body as a `cls`; every field that does not validate is named."""
        return parse(cls, self.json_object())

    def read_query(self, cls: type[S]) -> S:
        """The query as a `cls`; a parameter that is unknown, wrong or stands twice is named. Read once in a request,
        although both the cache and the handler ask."""
        if not isinstance(self._query, cls):
            self._query = self._read_query(cls)
        return self._query

    def _read_query(self, cls: type[S]) -> S:
        given = self._event.get("multiValueQueryStringParameters") or {}
        if repeated := [name[:MAX_NAME] for name, values in given.items() if len(values) > 1]:
            raise InvalidInput.of(*(FieldError(name, "repeated", "It may stand only once.") for name in repeated))
        return parse_query(cls, {name: values[0] for name, values in given.items()})

    def check_if_match(self, tag: str) -> None:
        """Raises PreconditionFailed when the caller names another version than `tag` in If-Match."""
        check_if_match(self.header("if-match"), tag)

    @property
    def source_address(self) -> str:
        return str(self.request.context.get("identity", {}).get("sourceIp", "unknown"))

    @property
    def received_at(self) -> datetime | None:
        """When the gateway took the request in; a cold function answers seconds later. None: it does not say."""
        milliseconds = self.request.context.get("requestTimeEpoch")
        return datetime.fromtimestamp(milliseconds / 1000, UTC) if isinstance(milliseconds, int) else None

    # How a request is answered.

    def _route(self, event: Any, context: Any) -> dict[str, Any]:  # Any: Lambda's own event and context
        """Chalice's routing, but for what Chalice would answer in a format of its own. HEAD never has a body."""
        asked = event.get("requestContext") or {}
        resource, method = asked.get("resourcePath"), asked.get("httpMethod")
        if (resource, method) in self.specs:
            answer = self._dispatch(event, context)
        else:
            answer = unrouted(asked, sorted(known for path, known in self.specs if path == resource))
        return {**answer, "body": ""} if method == "HEAD" else answer

    def _dispatch(self, event: Any, context: Any) -> dict[str, Any]:  # Any: Lambda's own event and context
        """What Chalice does for a known route, without what it would judge and no route of ours asks for: content
        types, CORS, binary types, middleware."""
        self.lambda_context = context
        self.current_request = Request(event, context)
        entry = self.routes[self.current_request.path][self.current_request.method]
        answer: Response = entry.view_function(**{name: event["pathParameters"][name] for name in entry.view_args})
        return answer.to_dict()

    def _answer(self, spec: RouteSpec, handler: Handler, path_params: dict[str, str]) -> Response:
        headers: dict[str, str] = {}
        self.principal = NOBODY

        def perform() -> Response:
            return reply(handler(**path_params))

        def admit() -> Response:
            self._check_body(spec)
            self.principal = NOBODY if spec.public else self._authenticate()
            headers.update(self._limit(spec))
            if spec.role and spec.role not in self.principal.roles:
                raise PermissionDenied(f"This needs the role {spec.role}.")
            key = self.header("idempotency-key") if spec.idempotent else None
            return perform() if key is None else self._once(key, lambda: self._told(perform))

        response = self._told(admit)
        if spec.etag and self.request.method in ("GET", "HEAD"):
            response = unless_known(response, self.header("if-none-match"))
        response.headers = {**headers, **response.headers}
        if spec.role:
            self._audit(spec.role, path_params, response.status_code)
        return response

    def _audit(self, role: str, path_params: Mapping[str, str], status: int) -> None:
        """Who used or tried to use a route that needs a role, and how it ended; never what they sent."""
        audit.info(
            "audit",
            extra=logs.fields(
                actor=self.principal.user_id or None,
                role=role,
                method=self.request.method,
                route=self.request.context["resourcePath"],
                path_params=path_params,
                status=status,
            ),
        )
        # Whom nobody knows, and whoever asks too often, stands in the log alone: no flood of them fills the table.
        if self.principal.user_id and status != RateLimited.status:
            self._record(path_params, status)

    def _record(self, path_params: Mapping[str, str], status: int) -> None:
        """Never fails: what was done is done, and stands in the log."""
        from functions.common.actions import place
        from functions.contracts.events.security import Action

        target = place(self.request.method, self.request.context["resourcePath"], path_params)
        try:
            self.actions.record(Action.ADMIN_REQUEST, self.principal.user_id, target=target, status=status)
        except SettingsError:
            log.exception("action_not_recorded", extra=logs.fields(target=target))

    def _told(self, work: Callable[[], Response]) -> Response:
        """What `work` answers, or the problem that it raised."""
        try:
            return work()
        except AppError as error:
            return self._refuse(error)
        # The outermost edge: whatever it is, the caller learns nothing of it and the log learns all.
        except Exception:
            log.exception("unhandled", extra=logs.fields(route=self.request.path))
            return self._refuse(AppError("Something went wrong on our side."))

    def _once(self, key: str, perform: Callable[[], Response]) -> Response:
        """Answers are kept per user; where anybody may ask, per address."""
        caller = f"user {self.principal.user_id}" if self.principal.user_id else f"address {self.source_address}"
        places = json.dumps([self.request.uri_params, self.query], sort_keys=True)
        asked = (self.request.method, self.request.path, places, self.raw_body)
        answer = self.idempotency.once(caller, key, asked, lambda: kept(perform()))
        headers: dict[str, str | list[str]] = {**answer.headers}
        return Response(answer.body, headers, answer.status)

    def _authenticate(self) -> Principal:
        return self.verifier.verify(self.header("authorization"))

    def _check_body(self, spec: RouteSpec) -> None:
        body, in_base64 = self._event.get("body") or "", self._event.get("isBase64Encoded")
        self._check_size(len(body) // 4 * 3 - 2 if in_base64 else len(body))  # before it costs anything to decode
        try:
            size = len(self.raw_body)
        except ValueError as error:
            raise MalformedBody("The body is not UTF-8.") from error
        self._check_size(size)
        if not size or self.request.method in ("GET", "HEAD", "DELETE"):
            return
        content_type = (self.header("content-type") or "").partition(";")[0].strip().lower()
        if content_type not in spec.content_types:
            raise UnsupportedMediaType(f"The body must be {' or '.join(spec.content_types)}.")

    def _check_size(self, size: int) -> None:
        if size > self.settings.max_body_bytes:
            raise PayloadTooLarge(f"The body has {size} bytes, {self.settings.max_body_bytes} are allowed.")

    def _limit(self, spec: RouteSpec) -> Mapping[str, str]:
        rates = {
            "user": self.settings.user_rate_per_minute,
            "address": self.settings.address_rate_per_minute,
            "auth": self.settings.auth_rate_per_minute,
        }
        limit = Limit(spec.policy, rates[spec.policy])
        owner = self.principal.user_id if spec.policy == "user" else self.source_address
        verdict, self.cached = self.cache.limit_and_read(owner, limit, spec.cached() if spec.cached else None)
        headers = rate_limit_headers(limit, verdict)
        if not verdict.allowed:
            raise RateLimited(
                "Too many requests; see Retry-After.", headers=headers, retry_after=int(verdict.retry_after) + 1
            )
        return headers

    def _refuse(self, error: AppError) -> Response:
        status, headers, body = problem(error, self.request.context.get("path", self.request.path))
        return Response(body, {**headers}, status)

    def _cors(self, origin: str | None) -> Mapping[str, str]:
        try:
            return cors_headers(origin, self.settings.cors_origins)
        except SettingsError:  # the answer tells of it already
            return {}
