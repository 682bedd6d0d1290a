"""From untrusted JSON to typed input. Every field that does not validate is named, all at once.

The shapes are msgspec Structs (`schemas.py` of each service): msgspec checks types and constraints, this module
gathers its verdicts field by field, because msgspec itself stops at the first.
"""

import functools
import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import structs

from functions.common.errors import FieldError, InvalidInput, MalformedBody

MAX_DEPTH = 32
MAX_ERRORS = 50
"""More are not told: a small body of unknown fields must not make a large answer."""
MAX_NAME = 100
MAX_MESSAGE = 300
"""Messages may quote what was sent."""
S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")


def decode_object(raw: bytes) -> dict[str, Any]:  # Any: JSON of any shape
    """The JSON object in `raw`. Raises MalformedBody for anything else: not UTF-8, NaN, a repeated key, too deep, not
    an object."""
    try:
        value = json.loads(
            raw.decode(), object_pairs_hook=_no_repeats, parse_constant=_no_constants, parse_float=_finite
        )
    except UnicodeDecodeError as error:
        raise MalformedBody("The body is not UTF-8.") from error
    except RecursionError as error:
        raise MalformedBody(f"The body is nested deeper than {MAX_DEPTH} levels.") from error
    except json.JSONDecodeError as error:
        raise MalformedBody(f"The body is not well-formed JSON: {error}.") from error
    except ValueError as error:  # of int(), which reads no more than 4300 digits
        raise MalformedBody("The body holds a number that is too long.") from error
    if not isinstance(value, dict):
        raise MalformedBody("The body must be a JSON object.")
    if _deeper_than(value, MAX_DEPTH):
        raise MalformedBody(f"The body is nested deeper than {MAX_DEPTH} levels.")
    if b"\\u" in raw and not _encodable(value):
        raise MalformedBody("The body holds half of a surrogate pair, which is no character.")
    return value


def parse(cls: type[S], raw: Mapping[str, object]) -> S:
    """`raw` as a `cls`. Raises InvalidInput with one FieldError for each field that is missing, unknown or wrong."""
    values, errors = _read_fields(cls, raw, prefix="")
    if errors:
        raise InvalidInput.of(*errors[:MAX_ERRORS])
    return cls(**values)


def parse_query(cls: type[S], query: Mapping[str, str]) -> S:
    """Like `parse`, for query parameters: text is converted to the field's type."""
    values, errors = _read_fields(cls, query, prefix="", strict=False)
    if errors:
        raise InvalidInput.of(*errors[:MAX_ERRORS])
    return cls(**values)


def _read_fields(
    cls: type[msgspec.Struct], raw: Mapping[str, object], prefix: str, *, strict: bool = True
) -> tuple[dict[str, Any], list[FieldError]]:  # Any: values of the struct's own types
    values: dict[str, Any] = {}
    known = _fields(cls)
    errors = [
        FieldError(f"{prefix}{name[:MAX_NAME]}", "unknown", "There is no such field.")
        for name in raw
        if name not in known
    ]
    for name, field in known.items():
        if name not in raw:
            if field.required:
                errors.append(FieldError(f"{prefix}{name}", "missing", "This field is required."))
            continue
        path, nested, value = f"{prefix}{name}", _struct_of(field.type), raw[name]
        if nested and isinstance(value, Mapping):
            inner, inner_errors = _read_fields(nested, value, f"{path}.", strict=strict)
            errors.extend(inner_errors)
            if not inner_errors:
                values[field.name] = nested(**inner)
            continue
        if wrong := _errors_in_list(field.type, value, path, strict=strict):
            errors.extend(wrong)
            continue
        try:
            converted = msgspec.convert(value, field.type, strict=strict)
            if converted is None and value is not None:  # a lenient reader takes the word for nothing
                raise msgspec.ValidationError("`null` is no value here")
            values[field.name] = converted
        except msgspec.ValidationError as error:
            errors.append(FieldError(path, "invalid", f"{str(error)[:MAX_MESSAGE]}."))
    return values, errors


def _errors_in_list(annotation: Any, value: object, path: str, *, strict: bool) -> list[FieldError]:  # Any: as above
    """Of each item of a list of Structs, field by field, as `path[0].name`; how long the list may be is not judged."""
    item = _item_of(annotation) if isinstance(value, list) else None
    errors: list[FieldError] = []
    for index, each in enumerate(value if item and isinstance(value, list) else ()):
        if item and isinstance(each, Mapping):
            errors += _read_fields(item, each, f"{path}[{index}].", strict=strict)[1]
        else:
            errors.append(FieldError(f"{path}[{index}]", "invalid", "An object is needed."))
        if len(errors) >= MAX_ERRORS:
            break
    return errors


@functools.cache
def _fields(cls: type[msgspec.Struct]) -> dict[str, structs.FieldInfo]:
    """By name in JSON. Reading annotations takes longer than all else that validates a small input."""
    return {field.encode_name: field for field in structs.fields(cls)}


def _struct_of(annotation: Any) -> type[msgspec.Struct] | None:  # Any: a type annotation
    """The Struct in `Struct` or `Struct | None`; None for other types."""
    candidates = set(get_args(annotation)) - {type(None)} if type(None) in get_args(annotation) else {annotation}
    candidate = candidates.pop() if len(candidates) == 1 else None
    return candidate if isinstance(candidate, type) and issubclass(candidate, msgspec.Struct) else None


def _item_of(annotation: Any) -> type[msgspec.Struct] | None:  # Any: a type annotation
    """The Struct of a `list[Struct]`, which may have constraints or other types beside it; None for other types."""
    for candidate in (annotation, *get_args(annotation)):
        plain = get_args(candidate)[0] if get_origin(candidate) is Annotated else candidate
        if get_origin(plain) is list:
            return _struct_of(get_args(plain)[0])
    return None


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise MalformedBody("The body is not well-formed JSON: a key stands twice in one object.")
    return result


def _no_constants(name: str) -> None:
    raise MalformedBody(f"The body is not well-formed JSON: {name} is no number.")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise MalformedBody("The body holds a number that is too large.")
    return number


def _encodable(value: object) -> bool:
    """JSON may escape a lone surrogate, which no store and no answer can carry (RFC 8259 section 8.2)."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _deeper_than(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    if levels == 0:
        return True
    inner = value.values() if isinstance(value, dict) else value
    return any(_deeper_than(item, levels - 1) for item in inner)
