"""Routes of the user service: registration, sessions, the user's own data, and the keys that verify tokens."""

from functions.common.http.app import Answer, ServiceApp
from functions.user_service import bootstrap
from functions.user_service.model import SessionId, UserId
from functions.user_service.schemas import Jwks, LogIn, LogOut, RefreshSession, RegisterUser, TokenReply, UserReply
from functions.user_service.service import Tokens

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
    return UserReply.of(bootstrap.users().get_user(UserId(app.principal.user_id)))


@app.route(
    "/auth/login",
    methods=["POST"],
    public=True,
    policy="auth",
    body=LogIn,
    returns=TokenReply,
    errors=[401],
    summary="Log in: an access token and a refresh token",
)
def log_in() -> object:
    body = app.read(LogIn)
    return _reply(bootstrap.sessions().log_in(body.email, body.password))


@app.route(
    "/auth/refresh",
    methods=["POST"],
    public=True,
    policy="auth",
    body=RefreshSession,
    returns=TokenReply,
    errors=[401],
    summary="Trade a refresh token for new tokens",
)
def refresh() -> object:
    return _reply(bootstrap.sessions().refresh(app.read(RefreshSession).refresh_token))


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
    user_id, session_id = UserId(app.principal.user_id), SessionId(app.principal.session_id)
    bootstrap.sessions().log_out(user_id, session_id, body.refresh_token)
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


def _reply(tokens: Tokens) -> TokenReply:
    return TokenReply(
        access_token=tokens.access_token, expires_in=tokens.expires_in, refresh_token=tokens.refresh_token
    )
