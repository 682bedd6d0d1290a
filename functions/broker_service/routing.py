"""Which route a path belongs to, as API Gateway sees it: literal segments go before parameters."""

from collections.abc import Mapping, Sequence
from urllib.parse import unquote


class RouteTable:
    """`routes`: path → its methods, e.g. {"/jobs/{job_id}": ("GET",)}."""

    def __init__(self, routes: Mapping[str, Sequence[str]]) -> None:
        self._routes = sorted(
            ((_segments(path), tuple(methods)) for path, methods in routes.items()),
            key=lambda route: [_is_parameter(segment) for segment in route[0]],
        )

    def methods(self, path: str) -> tuple[str, ...]:
        """The methods that `path` (without the stage; maybe percent-encoded) has a route for; none when it is unknown.

        One trailing slash is passed over, as API Gateway does.
        """
        asked = [unquote(segment) for segment in _segments(path)]
        return next((methods for template, methods in self._routes if _matches(template, asked)), ())


def _segments(path: str) -> list[str]:
    return path.removeprefix("/").removesuffix("/").split("/")


def _is_parameter(segment: str) -> bool:
    return segment.startswith("{")


def _matches(template: Sequence[str], asked: Sequence[str]) -> bool:
    return len(template) == len(asked) and all(
        bool(segment) if _is_parameter(wanted) else wanted == segment
        for wanted, segment in zip(template, asked, strict=True)
    )
