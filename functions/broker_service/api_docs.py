"""The OpenAPI document and a page that shows it, from files that the build puts into the artefact."""

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

HTML = "text/html; charset=utf-8"
OPENAPI, RAPIDOC = "openapi.json", "rapidoc.js"
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Billing Aggregator API</title>
<rapi-doc spec-url="openapi.json" render-style="read" theme="light" load-fonts="false" show-header="false"
  regular-font="system-ui, sans-serif" mono-font="ui-monospace, monospace" schema-style="table" sort-tags="true"
  allow-server-selection="false"></rapi-doc>
<script>{script}</script>
</html>
"""
# RapiDoc joins a relative server to the origin alone, without the stage.
OWN_SCRIPT = """
const server = new URL(".", location).href.replace(/\\/$/, "");
for (const name of ["server-url", "default-api-server"]) document.querySelector("rapi-doc").setAttribute(name, server);
"""


@dataclass(frozen=True, slots=True)
class Page:
    html: str
    policy: str
    """The Content-Security-Policy that lets this page, and nothing else, run."""


class ApiDocs:
    """`folder` holds openapi.json and rapidoc.js."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def openapi(self) -> str:
        return (self._folder / OPENAPI).read_text()

    @cached_property
    def page(self) -> Page:
        """All in one answer: nothing is loaded from anywhere but the document from beside the page."""
        script = OWN_SCRIPT + _embeddable((self._folder / RAPIDOC).read_text())
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        policy = (
            f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src 'self' data:; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return Page(PAGE.replace("{script}", script), policy)


def _embeddable(script: str) -> str:
    """What may stand between script tags: the HTML standard's own advice for literals that look like markup (section
    "Restrictions for contents of script elements")."""
    return re.sub(r"<(?=!--|/?script)", r"\\x3C", script, flags=re.IGNORECASE)
