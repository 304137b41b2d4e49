"""cdk-nag's packs on a construct tree."""

from __future__ import annotations

from collections.abc import Iterator

import cdk_nag
from constructs import Construct

from tests.gate.findings import Finding

PACKS: dict[str, type[cdk_nag.NagPack]] = {
    "AwsSolutions": cdk_nag.AwsSolutionsChecks,
    "NIST.800.53.R5": cdk_nag.NIST80053R5Checks,
    "HIPAA.Security": cdk_nag.HIPAASecurityChecks,
    "PCI.DSS.321": cdk_nag.PCIDSS321Checks,
    "Serverless": cdk_nag.ServerlessChecks,
}


def nag(pack: str, scope: Construct) -> Iterator[Finding]:
    """What a pack finds below a construct, warnings as well as errors."""
    for violation in PACKS[pack]().validate_scope(scope).violations:
        for resource in violation.violating_resources:
            yield Finding(f"{pack}::{violation.rule_name}", str(resource.construct_path), violation.description)
