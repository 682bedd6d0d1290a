"""Codes that were sent by mail, in SessionsTable (session_table.py)."""

from pynamodb.attributes import UnicodeAttribute
from pynamodb.exceptions import DoesNotExist

from functions.common.clock import parse_rfc3339, rfc3339
from functions.common.table import bind, deleted, saved, translated
from functions.user_service.model import Code, Purpose, UserId
from functions.user_service.session_table import KeptItem


class CodeItem(KeptItem):
    class Meta:
        table_name = ""

    code_hash = UnicodeAttribute()
    sent_at = UnicodeAttribute()


class DynamoCodes:
    def __init__(self, table_name: str) -> None:
        self._code = bind(CodeItem, table_name)

    def get(self, user_id: UserId, purpose: Purpose) -> Code | None:
        with translated():
            try:
                item = self._code.get(user_id, _code_key(purpose), consistent_read=True)
            except DoesNotExist:
                return None
        return Code(
            purpose=purpose,
            code_hash=item.code_hash,
            sent_at=parse_rfc3339(item.sent_at),
            expires_at=item.expires_at,
        )

    def replace(self, user_id: UserId, seen: Code | None, code: Code) -> bool:
        item = self._code(
            user_id,
            _code_key(code.purpose),
            code_hash=code.code_hash,
            sent_at=rfc3339(code.sent_at),
            expires_at=code.expires_at,
        )
        as_seen = CodeItem.code_hash == seen.code_hash if seen else CodeItem.session_id.does_not_exist()
        return saved(item, as_seen)

    def use(self, user_id: UserId, code: Code) -> bool:
        return deleted(self._code(user_id, _code_key(code.purpose)), CodeItem.code_hash == code.code_hash)


def _code_key(purpose: Purpose) -> str:
    return f"code#{purpose.value}"
