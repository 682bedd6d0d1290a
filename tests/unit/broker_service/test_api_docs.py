import base64
import hashlib
import re
from pathlib import Path

import pytest

from functions.broker_service import bootstrap
from functions.broker_service.api_docs import ApiDocs
from functions.broker_service.app import app as broker
from functions.common.http.app import ServiceApp
from infra import artefacts
from tests.support.http import configure, request

SCRIPT = 'let a = "<!-- x --><script>" + "</script>" + `<SCRIPT`; let b = 1 < 2;'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "openapi.json").write_text('{"openapi": "3.1.0"}')
    (tmp_path / "rapidoc.js").write_text(SCRIPT)
    return tmp_path


@pytest.fixture
def app(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ServiceApp:
    api_docs = ApiDocs(folder)
    monkeypatch.setattr(bootstrap, "api_docs", lambda: api_docs)
    return configure(broker)


def test_the_document_needs_no_token(app: ServiceApp) -> None:
    answer = request(app, "GET", "/openapi.json")

    assert (answer.status, answer.json) == (200, {"openapi": "3.1.0"})
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "public, max-age=300"


def test_the_page_runs_its_one_script_and_loads_nothing_from_elsewhere(app: ServiceApp) -> None:
    answer = request(app, "GET", "/docs")

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    scripts = re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policy = answer.headers["Content-Security-Policy"]
    assert f"script-src 'sha256-{digest}';" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"""(src|href)\s*=\s*["']?https?:""", answer.text)


def test_a_script_s_own_markup_does_not_end_it(app: ServiceApp) -> None:
    text = request(app, "GET", "/docs").text

    assert r'"\x3C!-- x -->\x3Cscript>" + "\x3C/script>" + `\x3CSCRIPT`; let b = 1 < 2;' in text


def test_head_has_the_headers_and_no_body(app: ServiceApp) -> None:
    for path in ("/docs", "/openapi.json"):
        answer = request(app, "HEAD", path)
        assert (answer.status, answer.text) == (200, "")


def test_the_build_s_own_files_are_there_and_fit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for place, source in artefacts.assets("broker_service").items():
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_bytes(source.read_bytes())

    api_docs = ApiDocs(tmp_path / "assets")

    assert '"openapi": "3.1.0"' in api_docs.openapi
    assert api_docs.page.html.count("<script") == 1
    assert "rapi-doc" in api_docs.page.html
    assert bootstrap.api_docs() is bootstrap.api_docs()
