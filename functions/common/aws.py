"""AWS clients: the one place that imports boto3, which costs 300 ms of cold start; so only on first use.

`AWS_ENDPOINT_URL` in the environment points them at an emulator; that is boto3's own doing.
"""

import functools
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ses import SESClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

_building = threading.Lock()
"""boto3 may not build two clients at a time, and a fan-out's first calls come together."""


@functools.cache
def kms() -> "KMSClient":
    import boto3
    from botocore.config import Config

    with _building:
        return boto3.client("kms", config=Config(connect_timeout=2, read_timeout=5))


@functools.cache
def s3() -> "S3Client":
    """Signs forms and links of version 4, the only one that every region takes."""
    import boto3
    from botocore.config import Config

    with _building:
        return boto3.client("s3", config=Config(connect_timeout=2, read_timeout=20, signature_version="s3v4"))


@functools.cache
def ses() -> "SESClient":
    """Version 1 of the API: the one that every engine has."""
    import boto3
    from botocore.config import Config

    with _building:
        return boto3.client("ses", config=Config(connect_timeout=2, read_timeout=5))


@functools.cache
def sns() -> "SNSClient":
    import boto3
    from botocore.config import Config

    with _building:
        return boto3.client("sns", config=Config(connect_timeout=2, read_timeout=5))


@functools.cache
def sqs() -> "SQSClient":
    import boto3
    from botocore.config import Config

    with _building:
        return boto3.client("sqs", config=Config(connect_timeout=2, read_timeout=5))


@functools.cache
def lambda_invoke() -> "LambdaClient":
    """No retries: a call that was carried out but not answered must not be carried out again behind the caller's
    back."""
    import boto3
    from botocore.config import Config

    once = Config(connect_timeout=2, read_timeout=60, max_pool_connections=64, retries={"total_max_attempts": 1})
    with _building:
        return boto3.client("lambda", config=once)
