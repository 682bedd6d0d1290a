"""Use cases of the listener: what happens because of an event. `sweeping.py` has what happens because of time.

All of them may run twice, or twice at once: reading a link's bills, projecting a link and recording a job's result are
idempotent in the services that own them.
"""

import logging
from collections.abc import Mapping

from functions.common import logs
from functions.common.errors import AppError, NotFound
from functions.common.rpc.client import Stub
from functions.common.worker import UnknownEventError
from functions.contracts.events.accounts import AccountLinkedV1, AccountStateChangedV1, AccountUnlinkedV1
from functions.contracts.events.bills import BillsRefreshRequestedV1
from functions.contracts.events.envelope import CloudEvent, unwrap
from functions.contracts.events.users import UserDeletedV1
from functions.contracts.rpc.bills_pb2 import (
    ProjectLinkReply,
    ProjectLinkRequest,
    RefreshLinkReply,
    RefreshLinkRequest,
)
from functions.contracts.rpc.broker_pb2 import RecordJobResultReply, RecordJobResultRequest
from functions.contracts.rpc.common_pb2 import PurgeUserReply, PurgeUserRequest
from functions.contracts.rpc.webhooks_pb2 import NotifyReply, NotifyRequest

log = logging.getLogger(__name__)

LINK_NOT_FOUND = "link_not_found"

AccountEvent = AccountLinkedV1 | AccountStateChangedV1 | AccountUnlinkedV1
ACCOUNT_EVENTS: dict[str, type[AccountEvent]] = {
    cls.TYPE: cls for cls in (AccountLinkedV1, AccountStateChangedV1, AccountUnlinkedV1)
}


class Refreshing:
    def __init__(self, bills: Stub, broker: Stub) -> None:
        self._bills = bills
        self._broker = broker

    def refresh(self, event: CloudEvent) -> None:
        """Has the link's bills read, and the job that waits for them told. Raises AppError when it must be tried again.

        A utility that fails is an outcome, not an error; so is a link that does not exist any more.
        """
        if event.type == AccountLinkedV1.TYPE:
            linked = unwrap(event, AccountLinkedV1)
            self._refresh_link(linked.user_id, linked.link_id)
        elif event.type == BillsRefreshRequestedV1.TYPE:
            wanted = unwrap(event, BillsRefreshRequestedV1)
            reply = self._refresh_link(wanted.user_id, wanted.link_id)
            if wanted.job_id:
                self._record_job_result(wanted, reply)
        else:
            raise UnknownEventError(f"refresh takes no {event.type}")

    def _refresh_link(self, user_id: str, link_id: str) -> RefreshLinkReply:
        request = RefreshLinkRequest(user_id=user_id, link_id=link_id)
        try:
            reply = self._bills.call("RefreshLink", request, RefreshLinkReply)
        except NotFound:
            reply = RefreshLinkReply(outcome="failed", error_code=LINK_NOT_FOUND)
        log.info(
            "refreshed",
            extra=logs.fields(
                link_id=link_id,
                outcome=reply.outcome,
                error_code=reply.error_code,
                created=reply.created,
                updated=reply.updated,
                unchanged=reply.unchanged,
            ),
        )
        return reply

    def _record_job_result(self, wanted: BillsRefreshRequestedV1, reply: RefreshLinkReply) -> None:
        result = RecordJobResultRequest(
            user_id=wanted.user_id,
            job_id=wanted.job_id,
            link_id=wanted.link_id,
            outcome=reply.outcome,
            error_code=reply.error_code,
            created=reply.created,
            updated=reply.updated,
            unchanged=reply.unchanged,
        )
        try:
            self._broker.call("RecordJobResult", result, RecordJobResultReply)
        except NotFound:
            # The job has expired: nobody waits any more, and the bills are read.
            log.info("job_gone", extra=logs.fields(job_id=wanted.job_id, link_id=wanted.link_id))


class Projecting:
    def __init__(self, bills: Stub) -> None:
        self._bills = bills

    def project(self, event: CloudEvent) -> None:
        """Tells the aggregator what became of a link. Raises AppError when it must be tried again."""
        if event.type not in ACCOUNT_EVENTS:
            raise UnknownEventError(f"project takes no {event.type}")
        account = unwrap(event, ACCOUNT_EVENTS[event.type])
        request = ProjectLinkRequest(
            user_id=account.user_id,
            link_id=account.link_id,
            provider_id=account.provider_id,
            state=account.state,
            status_detail=account.status_detail,
            version=account.version,
        )
        reply = self._bills.call("ProjectLink", request, ProjectLinkReply)
        fields = logs.fields(link_id=account.link_id, state=account.state, applied=reply.applied)
        log.info("projected", extra=fields)


class Notifying:
    def __init__(self, webhooks: Stub) -> None:
        self._webhooks = webhooks

    def notify(self, event: CloudEvent) -> None:
        """Has the user's webhooks told. Raises AppError when it must be tried again; what a receiver says is none."""
        request = NotifyRequest(cloud_event=event.to_json().encode())
        reply = self._webhooks.call("Notify", request, NotifyReply)
        log.info("notified", extra=logs.fields(event_id=event.id, type=event.type, deliveries=reply.deliveries))


class Purging:
    def __init__(self, *, holders: Mapping[str, Stub], users: Stub) -> None:
        """`holders`: who holds data of users, by name, in the order in which they are asked."""
        self._holders = holders
        self._users = users

    def purge(self, event: CloudEvent) -> None:
        """Has everything deleted that is held on a user. Raises AppError when it must be tried again.

        A service that is down keeps none of the others from deleting theirs. The user service comes last, and only
        after all others: what it still holds says that the deletion is not done.
        """
        if event.type != UserDeletedV1.TYPE:
            raise UnknownEventError(f"purge takes no {event.type}")
        user_id = unwrap(event, UserDeletedV1).user_id
        failures: list[AppError] = []
        for name, holder in self._holders.items():
            try:
                self._purge_user(name, holder, user_id)
            except AppError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        self._purge_user("users", self._users, user_id)

    def _purge_user(self, name: str, holder: Stub, user_id: str) -> None:
        deleted, more = 0, True
        try:
            while more:
                reply = holder.call("PurgeUser", PurgeUserRequest(user_id=user_id), PurgeUserReply)
                deleted += reply.deleted
                more = reply.more
        except AppError as error:
            log.warning("purge_part_failed", extra=logs.fields(user_id=user_id, part=name, reason=error.code))
            raise
        log.info("purged", extra=logs.fields(user_id=user_id, part=name, items=deleted))
