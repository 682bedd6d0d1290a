"""Routes of files: Green Button files in, exports out."""

from functions.bill_aggregation_service import bootstrap, file_schemas
from functions.bill_aggregation_service.exports import Download
from functions.bill_aggregation_service.model import UserId
from functions.common.http.app import Answer, ServiceApp

CHUNK_BYTES = 262_144
XML = ("application/xml", "text/xml", "application/atom+xml")

app = ServiceApp("bill-files")


@app.route(
    "/imports/green-button",
    methods=["POST"],
    content_types=XML,
    query=file_schemas.ImportQuery,
    returns=file_schemas.ImportReply,
    errors=[404],
    idempotent=True,
    summary="Import a Green Button file of 4 MB at most",
)
def import_green_button() -> object:
    """The body is a NAESB ESPI file as utilities give it out: an Atom feed or entry. Importing it again changes
    nothing."""
    asked = app.read_query(file_schemas.ImportQuery).asked()
    body = memoryview(app.raw_body)
    chunks = (bytes(body[at : at + CHUNK_BYTES]) for at in range(0, len(body), CHUNK_BYTES))
    return file_schemas.import_reply(bootstrap.importer().import_file(_user_id(), chunks, asked))


@app.route(
    "/imports",
    methods=["POST"],
    query=file_schemas.ImportQuery,
    returns=file_schemas.ImportCreatedReply,
    status=201,
    headers=["Location"],
    errors=[404],
    idempotent=True,
    summary="Get a form to upload a Green Button file of 20 MB at most",
)
def create_import() -> object:
    """Upload the file with the form, then start the import."""
    asked = app.read_query(file_schemas.ImportQuery).asked()
    job, form = bootstrap.uploads().create_import(_user_id(), asked)
    return Answer(file_schemas.created_reply(job, form), 201, {"Location": f"imports/{job.import_id}"})


@app.route(
    "/imports/{import_id}/start",
    methods=["POST"],
    returns=file_schemas.ImportJobReply,
    status=202,
    errors=[409],
    summary="Have an uploaded file imported",
)
def start_import(import_id: str) -> object:
    """Once more is the same: a job that runs, or is done, stays as it is."""
    return Answer(file_schemas.job_reply(bootstrap.uploads().start_import(_user_id(), import_id)), 202)


@app.route(
    "/imports/{import_id}",
    methods=["GET"],
    returns=file_schemas.ImportJobReply,
    summary="How an import stands",
)
def get_import(import_id: str) -> object:
    return file_schemas.job_reply(bootstrap.uploads().get_import(_user_id(), import_id))


@app.route(
    "/bills/export",
    methods=["GET"],
    query=file_schemas.ExportQuery,
    also_produces=["application/atom+xml", "text/csv"],
    headers=["Content-Disposition"],
    summary="All bills as a Green Button, CSV or JSON file",
)
def export_bills() -> object:
    """The file itself; where it has more than 4 MB, JSON with the address of a download instead: `download` with `url`
    and `expires_at`."""
    query = app.read_query(file_schemas.ExportQuery)
    made = bootstrap.exports().export_bills(_user_id(), query.criteria(), query.format)
    if isinstance(made, Download):
        return file_schemas.export_reply(made)
    disposition = f'attachment; filename="{made.name}"'
    return Answer(made.text, headers={"Content-Type": made.kind.content_type, "Content-Disposition": disposition})


def _user_id() -> UserId:
    return UserId(app.principal.user_id)
