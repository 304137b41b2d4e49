"""What we decided to leave as the template gate's tools find it, and why. It is acknowledged beside the resource.

Every pack of cdk-nag has its own name for a finding, so one decision has several.
"""

from __future__ import annotations

from collections.abc import Iterable

from stacks.acknowledgements import Decision

INLINE_POLICY = Decision(
    "A policy that belongs to its one role can be attached to nobody else, and goes when the role goes; a managed "
    "policy would stay, for others to pick up.",
    (
        "NIST.800.53.R5::NIST.800.53.R5-IAMNoInlinePolicy",
        "HIPAA.Security::HIPAA.Security-IAMNoInlinePolicy",
        "PCI.DSS.321::PCI.DSS.321-IAMNoInlinePolicy",
    ),
)

EVERY_RESOURCE = Decision(
    "AWS defines no resource for these calls, so they can be allowed on all or on none: X-Ray's, log delivery of a "
    "machine, a model's metrics and registry token, and a look at networks. The IAM gate holds their "
    "list, and refuses any other.",
    ("AwsSolutions::AwsSolutions-IAM5[Resource::*]",),
)

ROLE_FIRST = Decision(
    "It waits for its role's policy, by a dependency that names the role too: AWS tries the role when it makes the "
    "resource, and without the policy that fails.",
    ("cfn-lint::W3005",),
)

CALLED_AND_AWAITED = Decision(
    "A dead-letter queue takes what asynchronous calls could not deliver. Step Functions calls this function and "
    "waits for the answer: an error is retried or caught there, and the record comes back as rejected or failed.",
    (
        "NIST.800.53.R5::NIST.800.53.R5-LambdaDLQ",
        "HIPAA.Security::HIPAA.Security-LambdaDLQ",
        "Serverless::Serverless-LambdaDLQ",
        "checkov::CKV_AWS_116",
    ),
)

HEARD_AGAIN = Decision(
    "A notification that this function could not handle is handed to it twice more. What is lost even then is no "
    "record: the task that waits for the answer times out, and asks the endpoint again.",
    CALLED_AND_AWAITED.findings,
)

STARTED_LATER = Decision(
    "EventBridge tries for a day to hand an event to Lambda, and Lambda runs the function three times. What is lost "
    "even then is the event, not the data set: that lies in the bucket, where a schedule finds it, or a person.",
    CALLED_AND_AWAITED.findings,
)

FOUND_LATER = Decision(STARTED_LATER.reason, ("Serverless::Serverless-EventBusDLQ",))

ASKED_AGAIN = Decision(
    "A queue would keep the notifications that could not be delivered. The task that waits for the answer times out "
    "and asks the endpoint again, so none is needed.",
    ("Serverless::Serverless-SNSRedrivePolicy",),
)

SERVERLESS_CONTAINER = Decision(
    "SageMaker takes no network isolation for serverless endpoints, whose containers are in no network of the account.",
    ("checkov::CKV_AWS_370",),
)

SHARED_CONCURRENCY = Decision(
    "How many run at once is bounded where the work is given out, by a job's MaxConcurrency. A reservation would take "
    "its share of the account's limit from everything else there, idle or not.",
    (
        "NIST.800.53.R5::NIST.800.53.R5-LambdaConcurrency",
        "HIPAA.Security::HIPAA.Security-LambdaConcurrency",
        "checkov::CKV_AWS_115",
    ),
)

OUTSIDE_A_VPC = Decision(
    "Nothing in a network of the account's is called, only AWS's own API, over TLS and with the function's role; "
    "outside a VPC it costs no network interface and no interface endpoints.",
    (
        "NIST.800.53.R5::NIST.800.53.R5-LambdaInsideVPC",
        "HIPAA.Security::HIPAA.Security-LambdaInsideVPC",
        "PCI.DSS.321::PCI.DSS.321-LambdaInsideVPC",
        "checkov::CKV_AWS_117",
    ),
)

EMPTY_GROUP = Decision(
    "Nothing is in the network's own group: functions, instances and endpoints each name theirs. Closing it takes a "
    "function that may change every group of the account.",
    (
        "NIST.800.53.R5::NIST.800.53.R5-VPCDefaultSecurityGroupClosed",
        "HIPAA.Security::HIPAA.Security-VPCDefaultSecurityGroupClosed",
        "PCI.DSS.321::PCI.DSS.321-VPCDefaultSecurityGroupClosed",
    ),
)

NO_SECRET_IN_THE_ENVIRONMENT = Decision(
    "The variables say where the data lies and how large a batch is: nothing secret. AWS encrypts them with a key of "
    "its own; a customer's key would have to be granted to each function for no gain.",
    ("checkov::CKV_AWS_173",),
)

THIS_MACHINES_PYTHON = Decision(
    "The stage local runs on the developer's machine, with the Python that is there: any from 3.11 on.",
    ("AwsSolutions::AwsSolutions-L1", "Serverless::Serverless-LambdaLatestVersion"),
)

NO_REPLICA = Decision(
    "Data sets and predictions can be made again from what they came from, and versions bring back what was "
    "overwritten or deleted: a copy in a second region would double the cost and the places to protect.",
    (
        "NIST.800.53.R5::NIST.800.53.R5-S3BucketReplicationEnabled",
        "HIPAA.Security::HIPAA.Security-S3BucketReplicationEnabled",
        "PCI.DSS.321::PCI.DSS.321-S3BucketReplicationEnabled",
    ),
)

AWS_KEY_ON_THE_BUCKET = Decision(
    "Outside prod, objects are encrypted with keys that S3 keeps: a customer's key costs by the month and by the "
    "call. The setting customer_key turns it on in any stage.",
    (
        "NIST.800.53.R5::NIST.800.53.R5-S3DefaultEncryptionKMS",
        "HIPAA.Security::HIPAA.Security-S3DefaultEncryptionKMS",
        "PCI.DSS.321::PCI.DSS.321-S3DefaultEncryptionKMS",
    ),
)

AWS_KEY_ON_ACCESS_LOGS = Decision(
    "S3 delivers access logs to no bucket that is encrypted with a customer's key, so they have S3's own. They name "
    "who asked for which object, and hold no record.",
    AWS_KEY_ON_THE_BUCKET.findings,
)

LOGS_OF_THE_LOGS = Decision(
    "The bucket of the access logs keeps no access logs: they would log themselves without end.",
    ("checkov::CKV_AWS_18",),
)

AWS_KEY_ON_LOGS = Decision(
    "Outside prod, CloudWatch encrypts the log with a key of its own. It holds counts and names of errors, no record; "
    "the setting customer_key puts the account's key on it.",
    (
        "NIST.800.53.R5::NIST.800.53.R5-CloudWatchLogGroupEncrypted",
        "HIPAA.Security::HIPAA.Security-CloudWatchLogGroupEncrypted",
        "PCI.DSS.321::PCI.DSS.321-CloudWatchLogGroupEncrypted",
        "checkov::CKV_AWS_158",
    ),
)

AWS_KEY_ON_DISKS = Decision(
    "Outside prod, the disks of the model's instances are encrypted with a key of SageMaker's, and disks of their own "
    "by their hardware. They hold the model and its container; the setting customer_key turns the account's key on.",
    (
        "NIST.800.53.R5::NIST.800.53.R5-SageMakerEndpointConfigurationKMSKeyConfigured",
        "HIPAA.Security::HIPAA.Security-SageMakerEndpointConfigurationKMSKeyConfigured",
        "PCI.DSS.321::PCI.DSS.321-SageMakerEndpointConfigurationKMSKeyConfigured",
    ),
)


def wildcard(reason: str, *arns: str) -> Decision:
    """Wildcards in the ARNs of a policy: what stands around them is as narrow as AWS can be told."""
    return Decision(reason, tuple(f"AwsSolutions::AwsSolutions-IAM5[Resource::{arn}]" for arn in arns))


def objects(arns: Iterable[str]) -> Decision:
    """Objects of a bucket, by the beginning of their keys."""
    return wildcard(
        "Requests, jobs and data sets come later than the policy: it names their objects by the prefix that this "
        "step works under, and no other part of the bucket.",
        *arns,
    )


NO_TOPIC = Decision(
    "Where an alarm goes is the account's to say: `alarm_topic_arn` in the settings, or `-c alarm_topic_arn=ARN`. "
    "Without it alarms ring in the console.",
    ("HIPAA.Security::HIPAA.Security-CloudWatchAlarmAction", "NIST.800.53.R5::NIST.800.53.R5-CloudWatchAlarmAction"),
)
