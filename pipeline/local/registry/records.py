"""ECR's records (MiniStack's) as the registry's front sees them, in any account and region."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.local import ecr, snapshots
from pipeline.local.registry.tokens import Scope


class EcrRecords:
    """`front.Records` over MiniStack's stores.

    Args:
        changed: called after each change, so that it is saved.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed

    def has_repository(self, scope: Scope, repository: str) -> bool:
        return self._repository(scope, repository) is not None

    def digest_of(self, scope: Scope, repository: str, tag: str) -> str | None:
        for image in self._images(scope, repository):
            if tag in image.get("imageTags", []):
                return str(image["imageDigest"])
        return None

    def tags(self, scope: Scope, repository: str) -> list[str]:
        images = self._images(scope, repository)
        return sorted(tag for image in images for tag in image.get("imageTags", []))

    def held_by_another(self, scope: Scope, repository: str, tag: str, digest: str) -> bool:
        found = self._repository(scope, repository) or {}
        if found.get("imageTagMutability") != "IMMUTABLE":
            return False
        # What was never pushed, the snapshot of a folder, stands back for what is.
        return any(
            tag in image.get("imageTags", []) and image.get("pushed") and image["imageDigest"] != digest
            for image in self._images(scope, repository)
        )

    def blob(self, scope: Scope, repository: str, digest: str) -> bytes | None:
        for image in self._images(scope, repository):
            if not image.get("pushed") and digest in image.get("imageManifest", ""):
                found = snapshots.blob(image["imageDigest"], digest)
                if found is not None:
                    return found
        return None

    def wants_layer(self, manifest: bytes) -> str:
        return snapshots.layer_of(manifest) if snapshots.may_be(manifest) else ""

    def prepare(self, repository: str, digest: str, tag: str | None, manifest: bytes, layer: bytes) -> None:
        if layer and snapshots.unpack(manifest, layer):
            return
        folder = snapshots.container_folder(repository, tag or "")
        snapshots.keep_as(folder, tag or "", digest)

    def add(
        self, scope: Scope, repository: str, digest: str, tag: str | None, manifest: bytes, media_type: str
    ) -> None:
        images = self._images(scope, repository)
        # The snapshot of a folder stays one, also where a build has pushed it: no engine could run it.
        real = not snapshots.made_of_folder(digest)
        ecr.record(images, scope.account, repository, digest, tag, manifest, media_type, pushed=real)
        self._changed()

    def denial(self, scope: Scope, repository: str, action: str) -> str:
        from ministack import app
        from ministack.core.iam_actions import identity_denial_message
        from ministack.core.iam_evaluator import AuthError, enforce
        from ministack.core.responses import set_request_account_id

        if not scope.caller or not app.AUTH:
            return ""
        # Docker signs nothing, so nobody has said yet whose request it is.
        set_request_account_id(scope.caller)
        arn = f"arn:aws:ecr:{scope.region}:{scope.account}:repository/{repository}"
        denied = enforce(scope.caller, f"ecr:{action}", "ecr", scope.region, resource_arn=arn)
        if denied is None:
            return ""
        if isinstance(denied, AuthError):
            return str(denied.message)
        explicit = denied.decision == "Deny"
        return identity_denial_message(f"ecr:{action}", denied.principal_arn, arn, explicit)

    def _images(self, scope: Scope, repository: str) -> list[dict[str, Any]]:
        from ministack.services import ecr as service

        found = service._images.get_scoped(scope.account, scope.region, repository)
        return found if found is not None else []

    def _repository(self, scope: Scope, repository: str) -> dict[str, Any] | None:
        from ministack.services import ecr as service

        found: dict[str, Any] | None = service._repositories.get_scoped(
            scope.account, scope.region, repository
        )
        return found
