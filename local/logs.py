"""Writes the log lines of what runs in the embedded AWS, with the permission of the role it runs as."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter

from local import ministack
from local.log_metrics import metrics_in

Line = tuple[int, str]
"""Milliseconds since the epoch, and the text."""


def write(
    access_key: str,
    group: str,
    stream: str,
    lines: list[Line],
    *,
    account: str,
    region: str,
    create_group: bool = False,
) -> None:
    """Appends lines to a log stream, which is made if need be; so is the group with `create_group`.

    As in AWS, a role that may not do one of these leaves no log and no error, and metrics that stand in the lines
    are published.
    """
    arn = f"arn:aws:logs:{region}:{account}:log-group:{group}:log-stream:"

    def allowed(action: str, resource: str) -> bool:
        return ministack.authorize(access_key, f"logs:{action}", resource, region=region) is None

    with ministack.scope(account, region):
        streams = ministack.log_streams(group)
        if streams is None:
            # Only a group that the service makes itself comes into being here.
            if not create_group or not allowed("CreateLogGroup", arn):
                return
            ministack.create_log_group(group)
        if stream not in (streams or ()) and not allowed("CreateLogStream", arn):
            return
        if allowed("PutLogEvents", arn + stream):
            ministack.put_log_lines(group, stream, lines)
            for namespace, found in groupby(metrics_in(text for _, text in lines), itemgetter(0)):
                ministack.put_metrics(namespace, [datum for _, datum in found])
