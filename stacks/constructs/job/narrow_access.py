"""The item readers and the result writer of a job's Maps, allowed no more than they need.

The library's own may read, list or write the whole bucket. What a Map Run may do to its objects is in
https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
"""

from __future__ import annotations

from typing import Self

from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn

from stacks.constructs.data_bucket import DataBucket

RESULTS = "jobs/*/map/*"
"""The keys that the ResultWriter writes, of any job."""


class _Narrow:
    _statement: iam.PolicyStatement

    def allowing(self, statement: iam.PolicyStatement) -> Self:
        """Itself, with this statement as its only one."""
        self._statement = statement
        return self

    def provide_policy_statements(self) -> list[iam.PolicyStatement]:
        return [self._statement]


class CsvReader(_Narrow, sfn.S3CsvItemReader):
    """Reads rows of a CSV file."""


class JsonLinesReader(_Narrow, sfn.S3JsonLItemReader):
    """Reads lines of a JSON Lines file."""


class JsonReader(_Narrow, sfn.S3JsonItemReader):
    """Reads the values of a JSON array."""


class ObjectsReader(_Narrow, sfn.S3ObjectsItemReader):
    """Lists objects."""


class MapRunWriter(_Narrow, sfn.ResultWriterV2):
    """Writes where jobs keep their Map Runs' results."""

    def __init__(self, *, data: DataBucket, prefix: str) -> None:
        super().__init__(
            bucket=data.bucket,
            prefix=prefix,
            writer_config=sfn.WriterConfig(output_type=sfn.OutputType.JSONL, transformation=sfn.Transformation.COMPACT),
        )
        actions = ["s3:PutObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"]
        self.allowing(iam.PolicyStatement(actions=actions, resources=data.arns([RESULTS])))
