"""Documents of utilities: which references are followed, and what is taken for a PDF."""

import logging
from dataclasses import replace

import pytest

from functions.bill_aggregation_service.adapters.base import (
    Access,
    AccountUnknown,
    BadCredentials,
    ConsentExpired,
    DocumentUnusable,
    MfaRequired,
    NoDocument,
    ProviderDown,
    ProviderMisconfigured,
    Refusal,
)
from functions.bill_aggregation_service.adapters.documents import MAX_BYTES, followed, kept, path_below, with_kept
from functions.bill_aggregation_service.adapters.http_client import UtilityClient
from functions.bill_aggregation_service.adapters.registry import Utilities
from functions.bill_aggregation_service.adapters.retrying import Retrying
from functions.bill_aggregation_service.model import Provider
from tests.support.utility import ok, utility
from tests.unit.bill_aggregation_service.fakes import PROVIDER, FakeHttp, fetched

BASE = "https://power.example/api"
PDF = b"%PDF-1.4\n"
TOKEN = b'{"access_token": "tok"}'
INTERNET = replace(PROVIDER, adapter="csv_statement")
STATEMENTS = (
    b'"Account No","Statement No","Statement Date","Period From","Period To","Due Date","Description","Charge Type",'
    b'"Quantity","Unit","Rate","Amount","Currency","Statement Total","Status","Plan"%s\n'
    b'"FN1","S-1","18/02/2026","18/01/2026","17/02/2026","","Plan","Fee","","","","1.00","INR","1.00","PAID","Fibre"%s\n'
)


def access(provider: Provider = PROVIDER, code: str = "") -> Access:
    return Access(provider, {"account_number": "NP-1"}, "good", "s3cret", code, code and "ref-1")


def utilities(http: FakeHttp) -> Utilities:
    return Utilities(lambda _url, _seconds: http)


def nowhere(_shown: object) -> None:
    """The bill has no document any more."""


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        ("/1.pdf", "/1.pdf"),
        ("/bills/1/document?token=a%20b&x=../..", "/bills/1/document?token=a%20b&x=../.."),
        ("/..a/.b/c..", "/..a/.b/c.."),
        (f"{BASE}/1.pdf", "/1.pdf"),
        ("/", "/"),
        # elsewhere
        ("https://power.example/1.pdf", None),
        ("https://power.example/apix/1.pdf", None),
        ("https://power.example/api@evil.example/1.pdf", None),
        (f"{BASE}/../1.pdf", None),
        ("http://power.example/api/1.pdf", None),
        ("//evil.example/1.pdf", None),
        ("ftp://power.example/1.pdf", None),
        ("javascript:alert(1)", None),
        # disguised, or no path at all
        ("/a/%2E%2e/1.pdf", None),
        ("/a%2F..%2F1.pdf", None),
        ("/a%5c1.pdf", None),
        ("/a%00", None),
        ("/a%zz", None),
        ("/a\\1.pdf", None),
        ("/./1.pdf", None),
        ("/a\r\nX: 1", None),
        ("/a b", None),
        ("/a#b", None),
        ("/ä", None),
        ("1.pdf", None),
        ("", None),
        ("/" + "a" * 1000, None),
    ],
)
def test_references_are_followed_below_the_base_url_alone(reference: str, path: str | None) -> None:
    assert path_below(reference, BASE) == path
    assert path_below(reference, BASE + "/") == path


def test_references_that_lead_elsewhere_are_dropped_with_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    bills = [fetched(str(n), document_url=url) for n, url in enumerate(["/1.pdf", "https://evil.example/x", None])]

    with caplog.at_level(logging.WARNING):
        checked = with_kept(bills, access(replace(PROVIDER, base_url=BASE)))

    assert [bill.content.document_url for bill in checked] == ["/1.pdf", None, None]
    (line,) = caplog.records
    assert line.message == "documents_dropped"
    assert "evil" not in str(vars(line))


@pytest.mark.parametrize(
    ("reference", "stored"),
    [
        ("/a/NP-1002/NP-1002-7.pdf?user=jane.doe", "/a/{account_number}/{account_number}-7.pdf?user={username}"),
        ("/accounts/NP-1002?pin=12", "/accounts/{account_number}?pin=12"),
        ("/a/M%C3%BCller%20%26%20Co/1.pdf", "/a/{holder}/1.pdf"),
        (f"{BASE}/NP-1002.pdf", "/{account_number}.pdf"),
        ("/1.pdf", "/1.pdf"),
        ("/{account_number}.pdf", None),
        ("//evil.example/NP-1002", None),
    ],
)  # fmt: skip
def test_what_the_user_gave_is_not_kept_in_clear_text(reference: str, stored: str | None) -> None:
    params = {"account_number": "NP-1002", "holder": "Müller & Co", "pin": "12"}
    asked = Access(replace(PROVIDER, base_url=BASE), params, "jane.doe", "s3cret")

    assert kept(reference, asked) == stored
    if stored is not None:
        assert followed(stored, asked) == reference.removeprefix(BASE)


@pytest.mark.parametrize("value", ["../../x", "a/../b", "..%2F", "evil\r\nX: 1"])
def test_what_the_user_gave_leads_nowhere_else(value: str) -> None:
    asked = Access(PROVIDER, {"account_number": value}, "good", "s3cret")

    for reference in ("/{account_number}/1.pdf", "/{account_number}", "{account_number}", "/{unknown}/../1.pdf"):
        try:
            path = followed(reference, asked)
        except NoDocument:
            continue
        assert path == path_below(path, PROVIDER.base_url)
        assert ".." not in path.split("/")


class TestElectricity:
    def test_is_asked_with_a_token_of_its_own(self) -> None:
        http = FakeHttp(post=TOKEN, download=PDF)

        assert utilities(http).document(access(), "/1.pdf", nowhere, 5.0) == PDF

        token, document = http.asked
        assert token[1] == "/oauth/token"
        assert document == ("GET", "/1.pdf", {}, {"Accept": "application/pdf", "Authorization": "Bearer tok"})
        assert http.closed

    def test_a_token_that_is_refused_is_no_bad_login(self) -> None:
        with pytest.raises(ProviderDown):
            utilities(FakeHttp(post=TOKEN, download=BadCredentials())).document(access(), "/1.pdf", nowhere, 5.0)


class TestInternet:
    def test_is_asked_as_for_the_statements(self) -> None:
        http = FakeHttp(download=PDF)

        assert utilities(http).document(access(INTERNET, "246810"), "/1.pdf", nowhere, 5.0) == PDF

        ((_, path, _, headers),) = http.asked
        assert path == "/1.pdf"
        assert headers["Authorization"] == "Basic Z29vZDpzM2NyZXQ="
        assert (headers["X-MFA-Code"], headers["X-MFA-Token"]) == ("246810", "ref-1")

    def test_a_challenge_in_place_of_the_document(self) -> None:
        body = b"ERROR 401: MFA REQUIRED token=ref-2 methods=sms expires=300"
        http = FakeHttp(download=BadCredentials(refusal=Refusal(401, {}, body)))

        with pytest.raises(MfaRequired) as challenge:
            utilities(http).document(access(INTERNET), "/1.pdf", nowhere, 5.0)

        assert challenge.value.reference == "ref-2"

    @pytest.mark.parametrize(
        ("columns", "reference"), [((b"", b""), None), ((b',"Document"', b',""'), None),
                                   ((b',"Document"', b',"/1.pdf"'), "/1.pdf")]
    )  # fmt: skip
    def test_statements_may_name_one(self, columns: tuple[bytes, bytes], reference: str | None) -> None:
        (bill,) = utilities(FakeHttp(get=STATEMENTS % columns)).fetch(access(INTERNET), 5.0)

        assert bill.content.document_url == reference


class TestWhatIsRefused:
    @pytest.mark.parametrize("adapter", ["green_button", "bbps"])
    def test_a_utility_without_documents_is_not_asked(self, adapter: str) -> None:
        http = FakeHttp()

        with pytest.raises(NoDocument):
            utilities(http).document(access(replace(PROVIDER, adapter=adapter)), "/1.pdf", nowhere, 5.0)

        assert http.asked == []

    def test_no_such_adapter(self) -> None:
        with pytest.raises(ProviderMisconfigured):
            utilities(FakeHttp()).document(access(replace(PROVIDER, adapter="telegraph")), "/1.pdf", nowhere, 5.0)

    def test_a_reference_that_was_kept_is_judged_again(self) -> None:
        http = FakeHttp()

        with pytest.raises(NoDocument):
            utilities(http).document(access(), "//evil.example/1.pdf", nowhere, 5.0)

        assert http.asked == []

    def test_what_is_no_pdf(self) -> None:
        with pytest.raises(DocumentUnusable):
            utilities(FakeHttp(download=b"<html>")).document(access(INTERNET), "/1.pdf", nowhere, 5.0)


class TestMoved:
    @pytest.mark.parametrize("refusal", [AccountUnknown(), ConsentExpired()])
    def test_the_bills_say_where_it_is_now(self, refusal: Exception) -> None:
        http = FakeHttp(download=[refusal, PDF], get=STATEMENTS % (b',"Document"', b',"/new.pdf"'))

        def present(shown: object) -> str | None:
            return shown[0].content.document_url  # type: ignore[index, no-any-return]  # the bills

        assert utilities(http).document(access(INTERNET), "/old.pdf", present, 5.0) == PDF
        assert [path for _, path, _, _ in http.asked] == ["/old.pdf", "/statements.csv", "/new.pdf"]

    def test_it_is_gone(self) -> None:
        for newest in (None, "/old.pdf"):
            http = FakeHttp(download=AccountUnknown(), get=STATEMENTS % (b"", b""))
            with pytest.raises(NoDocument):
                utilities(http).document(access(INTERNET), "/old.pdf", lambda _, found=newest: found, 5.0)  # type: ignore[misc]
            assert len(http.asked) == 2

    def test_the_account_is_gone(self) -> None:
        """Then it is not the document that is unknown."""
        http = FakeHttp(download=AccountUnknown(), get=AccountUnknown())

        with pytest.raises(AccountUnknown):
            utilities(http).document(access(INTERNET), "/old.pdf", nowhere, 5.0)


class TestHttp:
    pytestmark = pytest.mark.usefixtures("socket_enabled")

    def download(self, answer: bytes) -> bytes:
        with utility(answer) as served:
            http = UtilityClient(served.origin, 5.0, call_seconds=5.0, sandbox_origin=served.origin)
            try:
                return http.download("/1.pdf", media_type="application/pdf", max_bytes=10)
            finally:
                http.close()

    def test_up_to_the_last_byte_that_is_allowed(self) -> None:
        assert self.download(ok(b"0123456789", "Content-Type: Application/PDF; version=1.4")) == b"0123456789"
        with pytest.raises(DocumentUnusable):
            self.download(ok(b"0123456789A", "Content-Type: application/pdf"))

    @pytest.mark.parametrize("header", [(), ("Content-Type: text/html",), ("Content-Type: application/pdfx",)])
    def test_another_media_type(self, header: tuple[str, ...]) -> None:
        with pytest.raises(DocumentUnusable):
            self.download(ok(PDF, *header))


def test_a_download_is_tried_again_where_that_may_help() -> None:
    http = FakeHttp(download=[ProviderDown(), PDF])

    assert Retrying(http).download("/1.pdf", media_type="application/pdf", max_bytes=MAX_BYTES) == PDF
    assert len(http.asked) == 2
