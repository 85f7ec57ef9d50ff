"""Tokens that docker logs in with: whose registry, until when, signed; nothing is stored but the key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import time
from dataclasses import dataclass
from pathlib import Path

# ECR's tokens are valid for so long.
LIFETIME_SECONDS = 12 * 3600
USER = "AWS"


class Refused(Exception):
    """Not a token of this registry, or one that has expired; the message is ECR's."""


@dataclass(frozen=True)
class Scope:
    """Whose registry a token opens, and to whom.

    Args:
        caller: access key id of who asked for the token; empty for this server's own pulls.
    """

    account: str
    region: str
    caller: str = ""


class Tokens:
    """Makes and checks tokens.

    Args:
        key_file: made when it is not there; readable by its owner only.
    """

    def __init__(self, key_file: Path) -> None:
        self._key_file = key_file

    def issue(self, scope: Scope, lifetime: float = LIFETIME_SECONDS) -> tuple[str, int]:
        """(the password that goes with the user AWS, seconds since the epoch when it expires)."""
        expires = int(time.time() + lifetime)
        text = f"{scope.account} {scope.region} {expires} {scope.caller or '-'}"
        return base64.urlsafe_b64encode(f"{text} {self._sign(text)}".encode()).decode(), expires

    def check(self, token: str) -> Scope:
        """Whose registry the token opens.

        Raises:
            Refused: forged, broken or expired.
        """
        try:
            text, _, signature = base64.urlsafe_b64decode(token.encode()).decode().rpartition(" ")
            account, region, expires, caller = text.split(" ")
        except ValueError:
            raise Refused("Not Authorized") from None
        if not hmac.compare_digest(signature, self._sign(text)):
            raise Refused("Not Authorized")
        if time.time() >= int(expires):
            raise Refused("Your authorization token has expired. Reauthenticate and try again.")
        return Scope(account, region, "" if caller == "-" else caller)

    def basic(self, header: str) -> Scope:
        """As `check`, from an Authorization header of the kind Basic."""
        kind, _, value = header.partition(" ")
        try:
            user, _, password = base64.b64decode(value).decode().partition(":")
        except ValueError:
            raise Refused("Not Authorized") from None
        if kind.lower() != "basic" or user != USER:
            raise Refused("Not Authorized")
        return self.check(password)

    def _sign(self, text: str) -> str:
        return hmac.new(self.key(), text.encode(), hashlib.sha256).hexdigest()

    def key(self) -> bytes:
        """The key, also for whoever else needs a secret that outlives a restart."""
        if not self._key_file.exists():
            temporary = self._key_file.with_suffix(f".{os.getpid()}")
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
                stream.write(os.urandom(32))
            try:
                os.link(temporary, self._key_file)  # the first of two wins
            except FileExistsError:
                pass
            finally:
                temporary.unlink()
        return self._key_file.read_bytes()
