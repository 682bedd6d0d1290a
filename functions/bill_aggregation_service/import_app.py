"""The worker that imports the files that were uploaded. Its queue is named by its logical id in template.yaml."""

from chalice.app import Chalice, SQSEvent

from functions.bill_aggregation_service import bootstrap
from functions.common.worker import BatchResponse, process_batch

app = Chalice(app_name="bill-imports", configure_logs=False, env={})


@app.on_sqs_message(queue="ImportQueue", batch_size=1, name="run_import")
def run_import(event: SQSEvent) -> BatchResponse:
    return process_batch("run_import", event, bootstrap.import_work().run, bootstrap.dead_letters())
