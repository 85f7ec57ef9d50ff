"""The bill of materials of an image: CycloneDX from its lock's wheels and its Debian packages.

Kept beside the image, as `sboms/<digest>.json` in the account's artifact bucket. Made of what went in, not
of a look at the result: the wheels by the hashes that were checked, the packages by dpkg's own record.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pipeline.aws.errors import code, told
from pipeline.image import wheelhouse
from pipeline.image.build import ARCHITECTURE
from pipeline.image.engine import Engine, spoken

if TYPE_CHECKING:
    from pipeline.aws import Clients

SPECIFICATION = "1.6"
CONTENT_TYPE = "application/vnd.cyclonedx+json"
_STATUS = "/var/lib/dpkg/status"
_OS_RELEASE = "/usr/lib/os-release"
_WHEEL = re.compile(r"^(?P<name>[^-]+)-(?P<version>[^-]+)(?:-\d[^-]*)?-[^-]+-[^-]+-[^-]+\.whl$")


def key(digest: str) -> str:
    """Where the bill of the image with that digest lies in the artifact bucket."""
    return f"sboms/{digest.removeprefix('sha256:')}.json"


def present(clients: Clients, bucket: str, digest: str) -> bool:
    """Whether the image's bill is there."""
    from botocore.exceptions import ClientError

    with told(clients.target.name):
        try:
            clients.s3.head_object(Bucket=bucket, Key=key(digest))
        except ClientError as error:
            if code(error) in {"404", "403", "NoSuchBucket", "NoSuchKey", "NotFound"}:
                return False
            raise
    return True


def store(clients: Clients, bucket: str, digest: str, bill: Mapping[str, Any]) -> str:
    """Put the bill beside the image; its S3 URI."""
    body = json.dumps(bill, indent=1, ensure_ascii=False).encode() + b"\n"
    with told(clients.target.name):
        clients.s3.put_object(Bucket=bucket, Key=key(digest), Body=body, ContentType=CONTENT_TYPE)
    return f"s3://{bucket}/{key(digest)}"


def make(engine: Engine, local_name: str, folder: Path, repository: str, digest: str) -> dict[str, Any]:
    """The bill of the engine's image `local_name`, built from `folder`."""
    with spoken("reading the image's packages", engine):
        container = engine.client.containers.create(local_name, command=["true"])
        try:
            status, release = _file(container, _STATUS), _file(container, _OS_RELEASE)
        finally:
            container.remove(force=True)
    distribution = _fields(release, "=").get("ID", "debian").strip('"')
    components = [
        *python_components(wheelhouse.ensure(folder, ARCHITECTURE)),
        *packages(status, distribution),
    ]
    return bill(repository, digest, components)


def bill(repository: str, digest: str, components: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """CycloneDX; the same image has the same bill to the byte, so it names no time."""
    name = quote(f"{repository.rpartition('/')[2]}@{digest}", safe="@")
    purl = f"pkg:oci/{name}?repository_url={quote(repository, safe='')}"
    subject = {"type": "container", "name": repository, "version": digest, "purl": purl, "bom-ref": purl}
    listed = sorted(components, key=lambda each: str(each["purl"]))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, purl)}",
        "version": 1,
        "metadata": {"component": subject},
        "components": listed,
        "dependencies": [{"ref": purl, "dependsOn": [each["bom-ref"] for each in listed]}],
    }


def python_components(wheels: Iterable[Path]) -> list[dict[str, Any]]:
    """One component a wheel, with the hash that the lock pins."""
    found = []
    for wheel in wheels:
        match = _WHEEL.match(wheel.name)
        if match is None:
            continue
        name = re.sub(r"[-_.]+", "-", match["name"]).lower()
        purl = f"pkg:pypi/{name}@{quote(match['version'])}"
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        found.append(
            {
                "type": "library",
                "name": name,
                "version": match["version"],
                "purl": purl,
                "bom-ref": purl,
                "hashes": [{"alg": "SHA-256", "content": digest}],
            }
        )
    return found


def packages(status: str, distribution: str = "debian") -> list[dict[str, Any]]:
    """One component an installed package of a dpkg status file."""
    found = []
    for paragraph in status.split("\n\n"):
        fields = _fields(paragraph, ":")
        if "Package" not in fields or not fields.get("Status", "").startswith("install ok"):
            continue
        name, version = fields["Package"], fields.get("Version", "")
        purl = f"pkg:deb/{distribution}/{quote(name)}@{quote(version, safe='')}"
        purl += f"?arch={fields.get('Architecture', '')}"
        found.append({"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl})
    return found


def _fields(text: str, separator: str) -> dict[str, str]:
    lines = (
        line for line in text.splitlines() if separator in line and not line.startswith((" ", "\t", "#"))
    )
    return {name.strip(): value.strip() for name, _, value in (line.partition(separator) for line in lines)}


def _file(container: Any, path: str) -> str:
    """A file of a container that need not run; empty when it has none."""
    from docker.errors import NotFound

    try:
        chunks, _ = container.get_archive(path)
    except NotFound:
        return ""
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        for member in tar:
            stream = tar.extractfile(member)
            if stream is not None:
                return stream.read().decode("utf-8", "replace")
    return ""
