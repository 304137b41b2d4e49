"""What MiniStack's CloudFormation lacks of networks."""

from __future__ import annotations

from typing import Any

from local.ministack.privates import ec2, provisioners


def _create_flow_log(_logical_id: str, properties: dict[str, Any], _stack_name: str) -> tuple[str, dict[str, str]]:
    """A network's flow log, which MiniStack's API has and its CloudFormation has not. Nothing flows here."""
    known = set(ec2._flow_logs)
    names = ("ResourceType", "TrafficType", "LogDestinationType", "LogDestination")
    given = {"ResourceId.1": properties["ResourceId"], **{name: properties.get(name) for name in names}}
    ec2._create_flow_logs({name: [value] for name, value in given.items() if value})
    (made,) = set(ec2._flow_logs) - known
    return made, {"Id": made}


provisioners._RESOURCE_HANDLERS["AWS::EC2::FlowLog"] = {
    "create": _create_flow_log,
    "delete": lambda name, _properties: ec2._delete_flow_logs({"FlowLogId.1": [name]}),
}
