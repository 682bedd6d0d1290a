"""Handlers of the listener. Queues are named by their logical ids in template.yaml."""

from dataclasses import asdict

from chalice.app import Chalice, CloudWatchEvent, SQSEvent

from functions.common.worker import BatchResponse, process_batch, run_scheduled
from functions.listener_service import bootstrap

app = Chalice(app_name="listener-service", configure_logs=False, env={})


@app.on_sqs_message(queue="RefreshQueue", batch_size=10, name="refresh")
def refresh(event: SQSEvent) -> BatchResponse:
    return process_batch("refresh", event, bootstrap.refreshing().refresh, bootstrap.dead_letters())


@app.on_sqs_message(queue="ProjectionQueue", batch_size=10, name="project")
def project(event: SQSEvent) -> BatchResponse:
    return process_batch("project", event, bootstrap.projecting().project, bootstrap.dead_letters())


@app.on_sqs_message(queue="NotifyQueue", batch_size=10, name="notify")
def notify(event: SQSEvent) -> BatchResponse:
    return process_batch("notify", event, bootstrap.notifying().notify, bootstrap.dead_letters())


@app.on_sqs_message(queue="PurgeQueue", batch_size=10, name="purge")
def purge(event: SQSEvent) -> BatchResponse:
    return process_batch("purge", event, bootstrap.purging().purge, bootstrap.dead_letters())


@app.on_sqs_message(queue="AuditQueue", batch_size=10, name="audit")
def audit(event: SQSEvent) -> BatchResponse:
    return process_batch("audit", event, bootstrap.auditing().audit, bootstrap.dead_letters())


@app.schedule("rate(1 minute)", name="sweep")
def sweep(event: CloudWatchEvent) -> dict[str, object]:
    return run_scheduled("sweep", event, lambda: asdict(bootstrap.sweeping().sweep()))
