"""Plain HTTP with the settings that boto3's own requests have: proxies, certificates, time limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

CONNECT_SECONDS, READ_SECONDS = 10, 120
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def send(session: Any, method: str, url: str, headers: Mapping[str, str], body: Any = None) -> Any:
    """Send one request and give back botocore's answer, its body not read yet. No redirect is followed.

    Args:
        session: the boto3 session whose certificates count.

    Raises:
        botocore's HTTP errors.
    """
    from botocore.awsrequest import AWSRequest
    from botocore.httpsession import URLLib3Session
    from botocore.utils import get_environ_proxies

    # A proxy leads to the world outside, never to this machine.
    proxies = {} if urlsplit(url).hostname in _LOOPBACK else get_environ_proxies(url)
    verify = session._session.get_config_variable("ca_bundle") or True
    http = URLLib3Session(verify=verify, proxies=proxies, timeout=(CONNECT_SECONDS, READ_SECONDS))
    request = AWSRequest(method, url, dict(headers), body, stream_output=True)
    return http.send(request.prepare())
