"""GitHub's OIDC issuer, as far as a workflow on this machine needs it.

    key = Key.at(StatePaths.of(root).oidc_key)  # the local target's own key, made at first use
    with Endpoint(key) as endpoint:            # http://127.0.0.1:PORT, one for many jobs
        variables = endpoint.grant(job)        # ACTIONS_ID_TOKEN_REQUEST_URL and _TOKEN for that job

The tokens have GitHub's claims and name GitHub as their issuer; only the local STS believes them, because
only it takes this key for GitHub's.
"""

from pipeline.local.oidc.claims import ISSUER, Job, claims, subject
from pipeline.local.oidc.endpoint import Endpoint, Grants
from pipeline.local.oidc.issuer import Key, sign
from pipeline.local.oidc.verify import WebIdentityError, verify

__all__ = [
    "ISSUER",
    "Endpoint",
    "Grants",
    "Job",
    "Key",
    "WebIdentityError",
    "claims",
    "sign",
    "subject",
    "verify",
]
