"""Log in to ECR for one call: a token, where to, never written to disk."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pipeline.aws.errors import told

if TYPE_CHECKING:
    from pipeline.aws import Clients


@dataclass(frozen=True)
class Login:
    """Where docker pushes to, and as whom.

    Args:
        host: the registry that the token opens, `<host>[:<port>]`. On AWS it is the host of the image's
            URI; the API tells it, so nothing here has to know.
        url: the same with its scheme, for whoever speaks to the registry without docker.
    """

    host: str
    username: str
    password: str = field(repr=False)
    url: str = ""

    @property
    def auth_config(self) -> dict[str, str]:
        """As docker's client takes it, with the call."""
        return {"username": self.username, "password": self.password}

    @property
    def header(self) -> str:
        """As HTTP takes it: the value of `Authorization`."""
        return f"Basic {base64.b64encode(f'{self.username}:{self.password}'.encode()).decode()}"


def login(clients: Clients) -> Login:
    """A fresh token. boto3 repeats the call when it is throttled.

    Raises:
        TargetError: denied, or the endpoint does not answer.
    """
    with told(clients.target.name):
        found = clients.ecr.get_authorization_token()["authorizationData"][0]
    username, _, password = base64.b64decode(found["authorizationToken"]).decode().partition(":")
    url = str(found["proxyEndpoint"]).rstrip("/")
    return Login(urlsplit(url).netloc, username, password, url)
