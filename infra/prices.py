"""What AWS asks for what the platform uses, in us-east-1. The one place to change a price: then `make docs`.

List prices as they were published by AS_OF, without free tiers, discounts for volume, and tax. AWS changes them without
asking: look them up before you rely on a sum.
"""

from dataclasses import dataclass

AS_OF = "2025-06"
REGION = "us-east-1"
PAGES = "https://aws.amazon.com/"


@dataclass(frozen=True, slots=True)
class Price:
    usd: float
    per: float
    """For so many."""
    unit: str
    page: str
    """Below PAGES."""

    @property
    def each(self) -> float:
        return self.usd / self.per


MILLION = 1e6
PRICES = {
    "lambda_requests": Price(0.20, MILLION, "invocations", "lambda/pricing/"),
    "lambda_gb_seconds_x86_64": Price(0.0000166667, 1, "GB-second", "lambda/pricing/"),
    "lambda_gb_seconds_arm64": Price(0.0000133334, 1, "GB-second", "lambda/pricing/"),
    "snapstart_cache_gb_seconds": Price(0.0000015046, 1, "GB-second of a kept snapshot", "lambda/pricing/"),
    "api_requests": Price(3.50, MILLION, "requests (REST API)", "api-gateway/pricing/"),
    "data_out_gb": Price(0.09, 1, "GB to the internet", "ec2/pricing/on-demand/"),
    "dynamodb_write_units": Price(0.625, MILLION, "write request units", "dynamodb/pricing/on-demand/"),
    "dynamodb_read_units": Price(0.125, MILLION, "read request units", "dynamodb/pricing/on-demand/"),
    "sns_requests": Price(0.50, MILLION, "requests", "sns/pricing/"),
    "sqs_requests": Price(0.40, MILLION, "requests", "sqs/pricing/"),
    "kms_requests": Price(0.03, 10_000, "requests", "kms/pricing/"),
    "cache_ecpus": Price(0.0023, MILLION, "ECPUs", "elasticache/pricing/"),
    "log_gb": Price(0.50, 1, "GB taken in", "cloudwatch/pricing/"),
    "nat_gb": Price(0.045, 1, "GB through a NAT gateway", "vpc/pricing/"),
    "kms_keys": Price(1.00, 1, "key and month", "kms/pricing/"),
    "secrets": Price(0.40, 1, "secret and month", "secrets-manager/pricing/"),
    "alarms": Price(0.10, 1, "alarm and month", "cloudwatch/pricing/"),
    "composite_alarms": Price(0.50, 1, "composite alarm and month", "cloudwatch/pricing/"),
    "dashboards": Price(3.00, 1, "dashboard and month", "cloudwatch/pricing/"),
    "metrics": Price(0.30, 1, "metric of one's own and month", "cloudwatch/pricing/"),
    "cache_gb_hours": Price(0.084, 1, "GB-hour (ElastiCache Serverless for Valkey)", "elasticache/pricing/"),
    "endpoint_hours": Price(0.01, 1, "hour of an interface endpoint in a zone", "privatelink/pricing/"),
    "nat_hours": Price(0.045, 1, "hour of a NAT gateway", "vpc/pricing/"),
    "address_hours": Price(0.005, 1, "hour of a public IPv4 address", "vpc/pricing/"),
    "web_acls": Price(5.00, 1, "web ACL and month", "waf/pricing/"),
    "web_acl_rules": Price(1.00, 1, "rule and month", "waf/pricing/"),
    "web_acl_requests": Price(0.60, MILLION, "requests", "waf/pricing/"),
}
