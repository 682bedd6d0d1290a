"""`make start-api`: the functions that the API calls, in containers, behind `sam local start-api`."""

import signal
import subprocess
from types import FrameType

from infra import sam_local, template
from infra.console import Failure, say
from infra.settings import ROOT, Settings


def serve(settings: Settings, port: int, options: list[str]) -> None:
    """Serves until Ctrl-C or SIGTERM. Raises Failure when SAM ends by itself.

    A container stays for the next request of its function: made anew for each, as is SAM's way unless told otherwise,
    every request would pay for a cold start.
    """
    functions = [name for name, properties in template.functions().items() if _has_routes(properties)]
    prepared = sam_local.prepare(settings, "api", functions, routes=True)
    keep = [] if any(option.startswith("--warm-containers") for option in options) else ["--warm-containers", "LAZY"]
    command = prepared.command("start-api", "--port", str(port), *keep, *options)
    say(f"{len(functions)} functions at http://127.0.0.1:{port}, without the stage in the path; Ctrl-C ends it")
    with prepared.reachable(), subprocess.Popen(command, cwd=ROOT, env=prepared.environ) as process:
        code = until_told(process)
    if code:
        raise Failure(f"sam local start-api ended with {code}: see above.", sam_local.NO_REGISTRY)


def until_told(process: "subprocess.Popen[bytes]") -> int:
    """The exit code of the process; 0 when it was told to end. Either way it ends first, and its containers with it.

    Ctrl-C reaches it without us; SIGTERM is passed on.
    """
    told: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGTERM and not told:
            process.terminate()
        told.append(number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0 if told else code


def _has_routes(properties: dict[str, object]) -> bool:
    events = properties.get("Events")
    return isinstance(events, dict) and any(event["Type"] == "Api" for event in events.values())
