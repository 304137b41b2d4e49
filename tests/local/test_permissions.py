"""What IAM allowed is written down once, as it was asked."""

from __future__ import annotations

from pathlib import Path

from local.permissions import noted, notes


def test_each_permission_is_noted_once(tmp_path: Path) -> None:
    note = notes(tmp_path / "allowed")
    asked = [("caller", "s3:GetObject", "arn:aws:s3:::a/é\n"), ("caller", "s3:PutObject", "*")]
    for permission in (*asked, asked[0]):
        note(*permission)
    assert noted(tmp_path / "allowed") == asked
