"""What every refusal must look like."""

from typing import Any  # JSON

import requests


def refused(answer: requests.Response, status: int, *fields: str) -> dict[str, Any]:
    """Asserts an RFC 9457 problem with this status, which names these fields if any. Answers the problem."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text[:500]}"
    assert answer.headers["Content-Type"].split(";")[0] == "application/problem+json"
    assert answer.headers["X-Correlation-Id"]
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem.keys() >= {"type", "title", "detail", "instance", "code", "correlation_id"}
    assert "Traceback" not in answer.text
    named = {error["field"] for error in problem.get("errors", ())}
    assert named >= set(fields), f"named {named}, wanted {fields}"
    return problem
