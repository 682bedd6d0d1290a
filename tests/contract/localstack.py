"""What community LocalStack 4.14.0 makes of a template, as far as the platform must know it.

It answers CREATE_COMPLETE to every type of resource, makes some, and of the others only says so: their attributes are
`unknown`.
"""

_MADE = {
    "ApiGateway": "Account ApiKey BasePathMapping Deployment DomainName Method Model RequestValidator "
    "Resource RestApi Stage UsagePlan UsagePlanKey",
    "CertificateManager": "Certificate",
    "CloudFormation": "Stack WaitCondition WaitConditionHandle",
    "CloudWatch": "Alarm CompositeAlarm",
    "DynamoDB": "GlobalTable Table",
    "EC2": "DHCPOptions Instance InternetGateway KeyPair NatGateway NetworkAcl PrefixList Route RouteTable "
    "SecurityGroup Subnet SubnetRouteTableAssociation TransitGateway TransitGatewayAttachment VPC VPCEndpoint "
    "VPCGatewayAttachment",
    "Events": "ApiDestination Connection EventBus EventBusPolicy Rule",
    "IAM": "AccessKey Group InstanceProfile ManagedPolicy Policy Role ServerCertificate ServiceLinkedRole User",
    "KMS": "Alias Key",
    "Lambda": "Alias CodeSigningConfig EventInvokeConfig EventSourceMapping Function LayerVersionPermission Permission "
    "Url Version",
    "Logs": "LogGroup LogStream SubscriptionFilter",
    "S3": "Bucket BucketPolicy",
    "SNS": "Subscription Topic TopicPolicy",
    "SQS": "Queue QueueInlinePolicy QueuePolicy",
    "SSM": "Parameter",
    "SecretsManager": "ResourcePolicy RotationSchedule Secret SecretTargetAttachment",
    "StepFunctions": "Activity StateMachine",
}
MADE = frozenset(f"AWS::{service}::{name}" for service, names in _MADE.items() for name in names.split())
"""The types that it has a provider for (entry points `localstack.cloudformation.resource_providers` of its package), of
the services that the platform uses or may come to use. Left out though they have one, because it does nothing:
gateway responses, which no answer heeds; layers, which no function gets; `AWS::Scheduler::Schedule`, which never fires;
`AWS::SES::EmailIdentity`, which fails."""

PRETENDED: dict[str, str] = {}
"""Types that the platform has on an emulator although LocalStack only pretends to make them, and why nothing misses
them there. No other resource and no output may name one."""
