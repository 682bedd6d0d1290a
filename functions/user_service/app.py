"""Routes of the user service: registration, sessions, passwords, the user's own data, and the keys of tokens."""

from functions.common.http.app import Answer, ServiceApp
from functions.user_service import bootstrap
from functions.user_service.model import Purpose, SessionId, UserId
from functions.user_service.schemas import (
    Accepted,
    ChangePassword,
    ExportQuery,
    ExportReply,
    Jwks,
    ListSessions,
    LogIn,
    LogOut,
    RefreshSession,
    RegisterUser,
    RequestCode,
    ResetPassword,
    SessionList,
    SessionReply,
    TokenReply,
    UpdateUser,
    UserReply,
    VerifyEmail,
)
from functions.user_service.sessions import Tokens

app = ServiceApp("user-service")
JWKS_SECONDS = 300


@app.route(
    "/users",
    methods=["POST"],
    public=True,
    policy="auth",
    body=RegisterUser,
    returns=UserReply,
    status=201,
    errors=[409],
    idempotent=True,
    summary="Register",
)
def register() -> object:
    body = app.read(RegisterUser)
    return Answer(UserReply.of(bootstrap.users().register(body.email, body.password, body.name)), status=201)


@app.route("/users/me", methods=["GET"], returns=UserReply, errors=[404], summary="The user's own data")
def get_user() -> object:
    return UserReply.of(bootstrap.users().get_user(_user_id()))


@app.route(
    "/users/me",
    methods=["PATCH"],
    body=UpdateUser,
    returns=UserReply,
    errors=[404],
    summary="Change name, currency, time zone or reminders",
)
def update_user() -> object:
    return UserReply.of(bootstrap.users().update_user(_user_id(), app.read(UpdateUser).changes()))


@app.route(
    "/users/me",
    methods=["DELETE"],
    returns=Accepted,
    status=202,
    errors=[503],
    summary="Delete the user and everything held on them, in every service",
)
def delete_user() -> object:
    bootstrap.users().delete_user(_user_id())
    return Answer(Accepted(), status=202)


@app.route(
    "/users/me/export",
    methods=["GET"],
    query=ExportQuery,
    returns=ExportReply,
    errors=[404, 503],
    summary="Everything held on the user, from all services",
)
def export_user() -> object:
    cursor = app.read_query(ExportQuery).cursor
    return ExportReply.of(bootstrap.export().export_user(_user_id(), cursor), _session_id())


@app.route(
    "/users/me/password",
    methods=["POST"],
    body=ChangePassword,
    status=204,
    errors=[404, 409],
    summary="Change the password; ends the other sessions",
)
def change_password() -> object:
    body = app.read(ChangePassword)
    bootstrap.recovery().change_password(
        _user_id(), _session_id(), body.current_password, body.new_password, app.source_address
    )
    return Answer(status=204)


@app.route(
    "/users/me/sessions",
    methods=["GET"],
    query=ListSessions,
    returns=SessionList,
    errors=[404],
    summary="Where one is logged in",
)
def list_sessions() -> object:
    query = app.read_query(ListSessions)
    found, following = bootstrap.sessions().list_sessions(_user_id(), query.limit, query.cursor)
    return SessionList(items=[SessionReply.of(each, _session_id()) for each in found], next_cursor=following)


@app.route(
    "/users/me/sessions/{session_id}", methods=["DELETE"], status=204, errors=[404], summary="End one of the sessions"
)
def end_session(session_id: str) -> object:
    bootstrap.sessions().end_session(_user_id(), session_id)
    return Answer(status=204)


@app.route(
    "/auth/login",
    methods=["POST"],
    public=True,
    policy="auth",
    body=LogIn,
    returns=TokenReply,
    errors=[401, 503],
    summary="Log in: an access token and a refresh token",
)
def log_in() -> object:
    body = app.read(LogIn)
    return _reply(bootstrap.sessions().log_in(body.email, body.password, app.source_address))


@app.route(
    "/auth/refresh",
    methods=["POST"],
    public=True,
    policy="auth",
    body=RefreshSession,
    returns=TokenReply,
    errors=[401, 503],
    summary="Trade a refresh token for new tokens",
)
def refresh() -> object:
    return _reply(bootstrap.sessions().refresh(app.read(RefreshSession).refresh_token, app.received_at))


@app.route(
    "/auth/logout",
    methods=["POST"],
    body=LogOut,
    body_optional=True,
    status=204,
    summary="End this session, or the one of a refresh token",
)
def log_out() -> object:
    body = app.read(LogOut) if app.raw_body else LogOut()
    bootstrap.sessions().log_out(_user_id(), _session_id(), body.refresh_token)
    return Answer(status=204)


@app.route("/auth/logout-all", methods=["POST"], status=204, summary="End all of the user's sessions")
def log_out_everywhere() -> object:
    bootstrap.sessions().log_out_everywhere(_user_id())
    return Answer(status=204)


@app.route(
    "/auth/verify-email/request",
    methods=["POST"],
    public=True,
    policy="auth",
    body=RequestCode,
    returns=Accepted,
    status=202,
    summary="Have a code sent that confirms the e-mail address",
)
def request_email_verification() -> object:
    bootstrap.recovery().request_code(app.read(RequestCode).email, Purpose.VERIFY_EMAIL)
    return Answer(Accepted(), status=202)


@app.route(
    "/auth/verify-email",
    methods=["POST"],
    public=True,
    policy="auth",
    body=VerifyEmail,
    status=204,
    summary="Confirm the e-mail address with the code that came by mail",
)
def verify_email() -> object:
    body = app.read(VerifyEmail)
    bootstrap.recovery().verify_email(body.email, body.code)
    return Answer(status=204)


@app.route(
    "/auth/password-reset/request",
    methods=["POST"],
    public=True,
    policy="auth",
    body=RequestCode,
    returns=Accepted,
    status=202,
    summary="Have a code sent that lets the user choose another password",
)
def request_password_reset() -> object:
    bootstrap.recovery().request_code(app.read(RequestCode).email, Purpose.RESET_PASSWORD)
    return Answer(Accepted(), status=202)


@app.route(
    "/auth/password-reset",
    methods=["POST"],
    public=True,
    policy="auth",
    body=ResetPassword,
    status=204,
    errors=[409],
    summary="Choose another password with the code that came by mail; ends all sessions",
)
def reset_password() -> object:
    body = app.read(ResetPassword)
    bootstrap.recovery().reset_password(body.email, body.code, body.new_password, app.source_address)
    return Answer(status=204)


@app.route(
    "/.well-known/jwks.json",
    methods=["GET"],
    public=True,
    returns=Jwks,
    summary="Public keys that verify tokens",
)
def get_jwks() -> object:
    return Answer(app.settings.jwks, headers={"Cache-Control": f"public, max-age={JWKS_SECONDS}"})


def _user_id() -> UserId:
    return UserId(app.principal.user_id)


def _session_id() -> SessionId:
    return SessionId(app.principal.session_id)


def _reply(tokens: Tokens) -> TokenReply:
    return TokenReply(
        access_token=tokens.access_token, expires_in=tokens.expires_in, refresh_token=tokens.refresh_token
    )
