"""The user service, as `reminders.py` sees it: an RPC behind plain Python."""

from functions.bill_aggregation_service.model import UserId
from functions.bill_aggregation_service.reminders import Preferences
from functions.common.rpc.client import Stub
from functions.contracts.rpc import users_pb2


class ReminderProfilesClient:
    def __init__(self, stub: Stub) -> None:
        self._stub = stub

    def preferences(self, user_id: UserId) -> Preferences:
        user = self._stub.call("GetUser", users_pb2.GetUserRequest(user_id=user_id), users_pb2.User)
        return Preferences(
            time_zone=user.time_zone,
            reminder_days=user.reminder_days if user.HasField("reminder_days") else None,
            reminder_repeat_days=user.reminder_repeat_days or None,
        )
