"""The services that imports ask, as `imports.py` sees them: RPCs behind plain Python."""

from functions.bill_aggregation_service.imports import Profile
from functions.bill_aggregation_service.model import LinkId, ProviderId, UserId
from functions.common.errors import NotFound
from functions.common.rpc.client import Stub
from functions.contracts.rpc import accounts_pb2, users_pb2

REVOKED = "REVOKED"


class FileAccountsClient:
    def __init__(self, stub: Stub) -> None:
        self._stub = stub

    def provider_of(self, user_id: UserId, link_id: LinkId) -> ProviderId:
        request = accounts_pb2.GetLinkedAccountRequest(link_id=link_id, user_id=user_id)
        link = self._stub.call("GetLinkedAccount", request, accounts_pb2.LinkedAccount)
        if link.state == REVOKED:
            raise NotFound("The account was unlinked.", code="link_not_found")
        return ProviderId(link.provider_id)

    def manual_link(self, user_id: UserId, provider_id: ProviderId) -> LinkId:
        request = accounts_pb2.EnsureManualLinkRequest(user_id=user_id, provider_id=provider_id)
        return LinkId(self._stub.call("EnsureManualLink", request, accounts_pb2.LinkedAccount).link_id)


class ProfilesClient:
    def __init__(self, stub: Stub) -> None:
        self._stub = stub

    def profile(self, user_id: UserId) -> Profile:
        user = self._stub.call("GetUser", users_pb2.GetUserRequest(user_id=user_id), users_pb2.User)
        return Profile(user.currency, user.time_zone)
