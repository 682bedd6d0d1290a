"""Files of users, in S3: what they upload and what they download, each for a day at most (the bucket's lifecycle)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from functions.bill_aggregation_service.uploads import UploadForm
from functions.common import aws
from functions.common.errors import NotFound, Unavailable
from functions.contracts.events.envelope import CloudEvent

CHUNK_BYTES = 262_144
MISSING = frozenset({"404", "NoSuchKey", "NotFound"})


class S3Files:
    def __init__(self, bucket: str) -> None:
        self._bucket = bucket

    def upload_form(self, key: str, max_bytes: int, seconds: int) -> UploadForm:
        """S3 takes a file of another size as little as one under another key (POST policy)."""
        with _translated():
            form = aws.s3().generate_presigned_post(
                self._bucket, key, Conditions=[["content-length-range", 1, max_bytes]], ExpiresIn=seconds
            )
        return UploadForm(form["url"], form["fields"])

    def size(self, key: str) -> int | None:
        try:
            with _translated():
                return aws.s3().head_object(Bucket=self._bucket, Key=key)["ContentLength"]
        except NotFound:
            return None

    def read(self, key: str) -> Iterator[bytes]:
        """Raises NotFound for a file that is not there (any more)."""
        with _translated():
            yield from aws.s3().get_object(Bucket=self._bucket, Key=key)["Body"].iter_chunks(CHUNK_BYTES)

    def delete(self, key: str) -> None:
        with _translated():
            aws.s3().delete_object(Bucket=self._bucket, Key=key)

    def put(self, key: str, content: IO[bytes], content_type: str) -> None:
        with _translated():
            aws.s3().put_object(Bucket=self._bucket, Key=key, Body=content, ContentType=content_type)

    def download_url(self, key: str, name: str, seconds: int) -> str:
        request = {
            "Bucket": self._bucket,
            "Key": key,
            "ResponseContentDisposition": f'attachment; filename="{name}"',
        }
        with _translated():
            return aws.s3().generate_presigned_url("get_object", Params=request, ExpiresIn=seconds)


class SqsQueue:
    def __init__(self, url: str) -> None:
        self._url = url

    def send(self, event: CloudEvent) -> None:
        with _translated():
            aws.sqs().send_message(QueueUrl=self._url, MessageBody=event.to_json())


@contextmanager
def _translated() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in MISSING:
            raise NotFound("There is no such file.", code="upload_missing") from error
        raise Unavailable("The files cannot be reached.") from error
    except (BotoCoreError, HTTPClientError) as error:
        raise Unavailable("The files cannot be reached.") from error
