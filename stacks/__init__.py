"""What is deployed: the stacks, and under `constructs` what they are made of."""

from __future__ import annotations

import gc
import importlib

# The CDK's largest modules are imported without Python's garbage collector, and kept from it for good. It would walk
# their classes again and again while they are made, to find nothing: a tenth of a second of each synth.
gc.disable()
for _module in ("aws_stepfunctions_tasks", "aws_sagemaker", "aws_lambda", "aws_s3"):
    importlib.import_module(f"aws_cdk.{_module}")
gc.freeze()
gc.enable()
