"""Mends the transactions of a LocalStack whose DynamoDB is moto's, if `PYTHONPATH` leads here when it starts.

moto copies the whole table for each item of a transaction, so that six hundred bills take minutes; a transaction that
fails puts that copy back, and so undoes what others have written meanwhile; whoever writes while a table is copied or
read gets a 500; and a transaction that comes twice with one token, as after an answer that got lost, is a conflict.
Here one call is served after the other, what fails puts back the items that it named, and a token counts once.

Python imports this module by its name, in each process that is started so; where there is no moto, it does nothing.
"""

import copy
import functools
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any  # moto's own shapes

try:
    from moto.dynamodb import models, responses
    from moto.dynamodb.models import table
except ImportError:
    models = None  # type: ignore[assignment]

SERVED_ALONE = ("get_item", "put_item", "update_item", "delete_item", "query", "scan", "transact_write_items")
TOKENS = 10_000
_lock = threading.RLock()
_answers: dict[str, Any] = {}
"""Of the last transactions, by token."""


def _alone(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        with _lock:
            return method(*args, **kwargs)

    return call


def _undoing_its_own(transact: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(transact)
    def call(backend: Any, transact_items: list[dict[str, Any]]) -> None:
        before = [_place(backend, operation) for each in transact_items for operation in each.values()]
        try:
            transact(backend, transact_items)
        except Exception:
            for items, key, item in before:
                items.pop(key, None) if item is None else items.update({key: item})
            raise

    return call


def _once(answer: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(answer)
    def call(response: Any) -> Any:
        token = response.body.get("ClientRequestToken")
        if token not in _answers:
            made = answer(response)
            if not token:
                return made
            _answers[token] = made
            if len(_answers) > TOKENS:
                del _answers[next(iter(_answers))]
        return _answers[token]

    return call


def _place(backend: Any, operation: dict[str, Any]) -> tuple[dict[Any, Any], Any, Any]:
    """Where the item of an operation is kept, its key there, and a copy of it as it stands; None: there is none."""
    kept = backend.tables[operation["TableName"]]
    hash_key, range_key = backend.get_keys_value(kept, operation.get("Key") or operation["Item"])
    items, key = (kept.items[hash_key], range_key) if kept.has_range_key else (kept.items, hash_key)
    return items, key, copy.deepcopy(items.get(key))


def _copied(thing: Any) -> Any:
    """A table is not: what is put back of it, `_undoing_its_own` does."""
    return thing if isinstance(thing, table.Table) else copy.deepcopy(thing)


def _mend(backend: Any) -> None:
    setattr(models, "copy", SimpleNamespace(deepcopy=_copied))  # noqa: B010  # its own import of copy, and no name of its
    backend.transact_write_items = _undoing_its_own(backend.transact_write_items)
    for name in SERVED_ALONE:
        setattr(backend, name, _alone(getattr(backend, name)))


if models is not None:
    _mend(models.DynamoDBBackend)
    responses.DynamoHandler.transact_write_items = _alone(_once(responses.DynamoHandler.transact_write_items))  # type: ignore[method-assign]
