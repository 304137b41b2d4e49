"""A stack that runs jobs by the contract with no function and no model: its machine's child stores one record.

The record's column `do` says what becomes of it: `reject`, `fail`, `wait` (an hour), and anything else is predicted.
"""

from __future__ import annotations

import json
from typing import Any

import boto3

from local.server import Ready

STACK = "StandIn"
BUCKET = "stand-in-data"
_PART = "$states.input.BatchInput.prefix & '/{kind}/part-' & $pad($string($states.input.Items[0].index), -12, '0')"


def deploy(ready: Ready) -> None:
    """Makes the bucket, the machine, and a stack with the outputs that the client reads."""
    session = boto3.Session(ready.access_key, ready.secret_key, region_name=ready.region)
    make: Any = session.client  # its stub has an overload a service, and the name is not literal here

    def client(service: str) -> Any:
        return make(service, endpoint_url=ready.endpoint)

    client("s3").create_bucket(Bucket=BUCKET)
    trust = {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
    rights = {"Effect": "Allow", "Action": ["s3:*", "states:*"], "Resource": "*"}
    iam = client("iam")
    role = iam.create_role(RoleName="machine", AssumeRolePolicyDocument=_policy(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName="machine", PolicyName="all", PolicyDocument=_policy(rights))
    machine = client("stepfunctions").create_state_machine(
        name="stand-in", roleArn=role, definition=json.dumps(_definition())
    )["stateMachineArn"]
    outputs = {"BatchJobArn": {"Value": machine}, "ResultsBucketUri": {"Value": f"s3://{BUCKET}"}}
    formation = client("cloudformation")
    for name, told in ((STACK, outputs), ("Other", {"Unrelated": {"Value": "1"}})):
        template = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}, "Outputs": told}
        formation.create_stack(StackName=name, TemplateBody=json.dumps(template))
        formation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 0.05})


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _definition() -> dict[str, Any]:
    prefix = "'jobs/' & $states.context.Execution.Name"
    records = {
        "Type": "Map",
        "Label": "CsvRecords",
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"},
            "Arguments": {"Bucket": BUCKET, "Key": "{% $states.input.dataset.key %}"},
        },
        "ItemSelector": {
            "index": "{% $states.context.Map.Item.Index %}",
            "record": "{% $states.context.Map.Item.Value %}",
        },
        "ItemBatcher": {"MaxItemsPerBatch": 1, "BatchInput": {"prefix": f"{{% {prefix} %}}"}},
        "MaxConcurrency": 8,
        "ToleratedFailurePercentage": "{% $exists($states.input.tolerate) ? $states.input.tolerate : 0 %}",
        "ResultWriter": {
            "Resource": "arn:aws:states:::s3:putObject",
            "WriterConfig": {"Transformation": "COMPACT", "OutputType": "JSONL"},
            "Arguments": {"Bucket": BUCKET, "Prefix": f"{{% {prefix} & '/map' %}}"},
        },
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
            "StartAt": "Do",
            "States": _child(),
        },
        "End": True,
    }
    return {"QueryLanguage": "JSONata", "StartAt": "CsvRecords", "States": {"CsvRecords": records}}


def _child() -> dict[str, Any]:
    def when(do: str, state: str) -> dict[str, str]:
        return {"Condition": f"{{% $states.input.Items[0].record.do = '{do}' %}}", "Next": state}

    row = {
        "id": "{% $states.input.Items[0].record.id %}",
        "index": "{% $states.input.Items[0].index %}",
    }
    prediction = {"label": "benign", "p_malignant": "{% $states.input.Items[0].index / 8 %}"}
    return {
        "Do": {
            "Type": "Choice",
            "Choices": [when("reject", "Reject"), when("fail", "Broken"), when("wait", "Slow")],
            "Default": "Predict",
        },
        "Predict": _store("predictions", {**row, "prediction": prediction}),
        "Reject": _store("rejected", {**row, "error": "NotANumber", "cause": "expected a number"}),
        "Broken": {"Type": "Fail", "Error": "ModelBroken", "Cause": '{"errorMessage": "the model \\u001b[31mbroke"}'},
        "Slow": {"Type": "Wait", "Seconds": 3600, "End": True},
    }


def _store(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    key = _PART.format(kind=kind) + " & '.jsonl'"
    arguments = {"Bucket": BUCKET, "Key": f"{{% {key} %}}", "Body": body}
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:s3:putObject",
        "Arguments": arguments,
        "Output": {},
        "End": True,
    }
