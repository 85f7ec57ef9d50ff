"""The issuer's RSA key, kept in the state folder, and what it signs."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ALGORITHM = "RS256"
_BITS = 2048


@dataclass(frozen=True)
class Key:
    """An RSA key pair and the id by which tokens name it."""

    private_pem: bytes
    public_pem: bytes

    @property
    def kid(self) -> str:
        return hashlib.sha256(self.public_pem).hexdigest()[:32]

    @classmethod
    def at(cls, file: Path) -> Key:
        """The key in `file`, made when there is none; readable by its owner only.

        Two processes that make it at once end with the same one: the first to put it there wins.
        """
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            # A name of its own for each maker, whatever process or thread; mkstemp makes it 0600.
            descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=file.name)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(generate().private_pem)
            try:
                os.link(temporary, file)
            except FileExistsError:
                pass  # another one was first: its key holds
            finally:
                Path(temporary).unlink()
        return of(file.read_bytes())


def generate() -> Key:
    """A new key."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    return of(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def of(private_pem: bytes) -> Key:
    """The pair of a private key in PEM."""
    from cryptography.hazmat.primitives import serialization

    private = serialization.load_pem_private_key(private_pem, password=None)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Key(private_pem, public)


def sign(key: Key, claims: dict[str, Any]) -> str:
    """The token: a JWT with the claims, RS256, naming the key."""
    import jwt

    return jwt.encode(claims, key.private_pem, algorithm=ALGORITHM, headers={"kid": key.kid})
