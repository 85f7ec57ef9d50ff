"""Whether a granted resource and a needed one can be the same."""

from __future__ import annotations

import pytest

from pipeline.check.globs import overlap


@pytest.mark.parametrize(
    ("granted", "needed", "same"),
    [
        ("*", "arn:aws:s3:::b/k", True),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/k", True),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::c/k", False),
        ("job/iris-dev-*", "job/iris-*-*", True),
        ("job/iris-dev-*", "job/iris-prod-*", False),
        ("secret:hook-??????", "secret:hook-a1B2c3", True),
        ("secret:hook-??????", "secret:hook-a1B2", False),
        ("${RoleArn}", "${RoleArn}", True),
        ("${RoleArn}", "${OtherArn}", False),
        ("arn:aws:s3:::${Bucket}/x", "arn:aws:s3:::b/x", True),
        ("", "a", False),
    ],
)
def test_overlap(granted: str, needed: str, same: bool) -> None:
    assert overlap(granted, needed) is same
    assert overlap(needed, granted) is same
