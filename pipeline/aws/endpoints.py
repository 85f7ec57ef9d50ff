"""Clients of an endpoint that is not AWS's own, whatever way it was given.

botocore takes one as an argument, from AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_<SERVICE> or a profile, and tells
which it took only by the client it made: https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

# What host names of AWS end with, by partition; botocore's endpoints.json.
_AWS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".amazonaws.eu")


def make(create: Callable[..., Any], service: str, config: Any, **more: Any) -> Any:
    """`create(service, config=config, **more)`, so that it also works where there is no DNS of AWS.

    Args:
        create: a session's function that makes clients.
        config: botocore's Config, or None.
    """
    from botocore.config import Config

    made = create(service, config=config, **more)
    if is_aws(made.meta.endpoint_url):
        return made
    elsewhere = Config(
        # Neither buckets nor operations have host names of their own there.
        s3={"addressing_style": "path"},
        inject_host_prefix=False,
        # A proxy leads to the world outside; an endpoint that was named is reached as it is.
        proxies={},
    )
    return create(service, config=config.merge(elsewhere) if config else elsewhere, **more)


def is_aws(url: str) -> bool:
    """Whether a URL's host is one of AWS's."""
    return (urlsplit(url).hostname or "").endswith(_AWS)
