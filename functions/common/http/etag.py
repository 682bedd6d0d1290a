"""Entity tags (RFC 9110 sections 8.8.3 and 13.1): who has the newest copy already, and who changes what they have seen.

A resource with a version says it as its tag: `Answer(body, etag="3")`. Where there is none, as of a list, a route with
`etag=True` gets the hash of what it answers.
"""

import hashlib
import re

from functions.common.errors import PreconditionFailed

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def quoted(tag: str) -> str:
    """`3` as `"3"`, which is how it stands in a header."""
    return f'"{tag}"'


def tag_of(body: str | bytes) -> str:
    """The tag of an answer that has no version of its own."""
    return hashlib.blake2b(body.encode() if isinstance(body, str) else body, digest_size=12).hexdigest()


def not_modified(if_none_match: str | None, etag: str) -> bool:
    """Whether the caller has this copy. Weak comparison, as section 13.1.2 wants it. `etag` is quoted."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or any(quoted(tag) == etag for _, tag in _TAG.findall(if_none_match))


def check_if_match(if_match: str | None, tag: str) -> None:
    """Raises PreconditionFailed when the caller has seen another version than `tag`. Strong comparison: a weak tag
    never matches (section 13.1.1). Without the header there is nothing to check."""
    if if_match is None or if_match.strip() == "*":
        return
    if not any(not weak and seen == tag for weak, seen in _TAG.findall(if_match)):
        raise PreconditionFailed("This has changed since you read it: read it again.", headers={"ETag": quoted(tag)})
