"""The registry protocol of the local ECR, spoken by hand: what docker does, on any machine."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

from pipeline.local import down, ensure_up
from pipeline.local.paths import StatePaths
from pipeline.local.registry.tokens import Scope, Tokens
from tests.e2e.local_core.conftest import ACCOUNT, REGION, Target

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@dataclass
class Registry:
    """A client of the protocol."""

    target: Target
    token: str = ""

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        url = path if path.startswith("http") else f"{self.target.up.endpoint_url}{path}"
        request = urllib.request.Request(url, body, method=method)
        if self.token:
            request.add_header("Authorization", "Basic " + self.token)
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()

    def blob(self, name: str, content: bytes) -> dict[str, object]:
        """Upload in two pieces, as docker does."""
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        status, headers, _ = self.ask("POST", f"/v2/{name}/blobs/uploads/", b"")
        assert status == 202
        status, headers, _ = self.ask(
            "PATCH", headers["location"], content, Content_Type="application/octet-stream"
        )
        assert status == 202
        joint = "&" if "?" in headers["location"] else "?"
        status, _, body = self.ask("PUT", f"{headers['location']}{joint}digest={digest}", b"")
        assert status == 201, body
        return {"digest": digest, "size": len(content), "mediaType": "application/octet-stream"}

    def image(self, name: str, tag: str, content: bytes) -> tuple[int, str]:
        """Push an image of one layer; (status, digest or error)."""
        parts = {"config": self.blob(name, b"{}"), "layers": [self.blob(name, content)]}
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, **parts}).encode()
        status, headers, body = self.ask(
            "PUT", f"/v2/{name}/manifests/{tag}", manifest, Content_Type=MANIFEST
        )
        return status, headers.get("docker-content-digest") or body.decode()


@pytest.fixture(scope="module", params=["distribution", "small"])
def registry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """With the registry of this machine, and with the small one that is carried along."""
    if request.param == "distribution" and shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed; the small registry stands in for it")
    root = tmp_path_factory.mktemp(request.param)
    if request.param == "small":
        (StatePaths.of(root).registry / "small").mkdir(parents=True)
    target = Target(root, ensure_up(root))
    ecr = target.client("ecr")
    ecr.create_repository(repositoryName="ml/a", imageTagMutability="IMMUTABLE")
    ecr.create_repository(repositoryName="ml/b")
    given = ecr.get_authorization_token()["authorizationData"][0]
    assert given["proxyEndpoint"] == target.up.endpoint_url
    yield Registry(target, given["authorizationToken"])
    down(root)


def test_what_is_pushed_is_what_the_api_tells_and_what_is_pulled(registry: Registry) -> None:
    status, digest = registry.image("ml/a", "v1", b"layer one")
    assert status == 201
    ecr = registry.target.client("ecr")
    (image,) = ecr.describe_images(repositoryName="ml/a", imageIds=[{"imageTag": "v1"}])["imageDetails"]
    assert image["imageDigest"] == digest
    assert image["imageSizeInBytes"] == len(b"layer one") + 2
    for reference in ("v1", digest):
        status, headers, manifest = registry.ask("GET", f"/v2/ml/a/manifests/{reference}", Accept=MANIFEST)
        assert (status, headers["content-type"]) == (200, MANIFEST)
        assert "sha256:" + hashlib.sha256(manifest).hexdigest() == digest
    layer = json.loads(manifest)["layers"][0]["digest"]
    assert registry.ask("GET", f"/v2/ml/a/blobs/{layer}")[2] == b"layer one"
    assert registry.ask("HEAD", f"/v2/ml/a/blobs/{layer}")[0] == 200
    assert json.loads(registry.ask("GET", "/v2/ml/a/tags/list")[2]) == {"name": "ml/a", "tags": ["v1"]}


def test_an_immutable_tag_stays_and_a_mutable_one_moves(registry: Registry) -> None:
    first = registry.image("ml/a", "kept", b"1")
    assert registry.image("ml/a", "kept", b"1") == first  # the same image again is no matter
    status, error = registry.image("ml/a", "kept", b"2")
    assert status == 400
    assert "cannot be overwritten because the repository is immutable" in error
    assert registry.image("ml/b", "moved", b"1")[0] == 201
    _, second = registry.image("ml/b", "moved", b"2")
    ecr = registry.target.client("ecr")
    found = ecr.describe_images(repositoryName="ml/b", imageIds=[{"imageTag": "moved"}])["imageDetails"]
    assert [each["imageDigest"] for each in found] == [second]


def test_a_layer_of_another_repository_is_mounted_not_sent(registry: Registry) -> None:
    part = registry.blob("ml/a", b"shared")
    path = f"/v2/ml/b/blobs/uploads/?mount={part['digest']}&from=ml/a"
    status, headers, _ = registry.ask("POST", path, b"")
    assert status == 201
    assert headers["location"].endswith(f"/v2/ml/b/blobs/{part['digest']}")
    assert registry.ask("GET", f"/v2/ml/b/blobs/{part['digest']}")[2] == b"shared"


def test_broken_content_is_refused(registry: Registry) -> None:
    _, headers, _ = registry.ask("POST", "/v2/ml/b/blobs/uploads/", b"")
    joint = "&" if "?" in headers["location"] else "?"
    status, _, body = registry.ask("PUT", f"{headers['location']}{joint}digest=sha256:{'0' * 64}", b"else")
    assert (status, json.loads(body)["errors"][0]["code"]) == (400, "DIGEST_INVALID")
    lost = {"digest": f"sha256:{'1' * 64}", "size": 1, "mediaType": "x"}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": lost, "layers": []}).encode()
    status, _, body = registry.ask("PUT", "/v2/ml/b/manifests/x", manifest, Content_Type=MANIFEST)
    assert status in (400, 404)
    assert "MANIFEST_BLOB_UNKNOWN" in body.decode()
    ecr = registry.target.client("ecr")
    with pytest.raises(ecr.exceptions.ImageNotFoundException):
        ecr.describe_images(repositoryName="ml/b", imageIds=[{"imageTag": "x"}])


def test_who_may_not_is_told_as_ecr_does(registry: Registry) -> None:
    tokens = Tokens(StatePaths.of(registry.target.root).registry_key)
    expired, _ = tokens.issue(Scope(ACCOUNT, REGION), lifetime=-1)
    other, _ = tokens.issue(Scope("999999999999", REGION))

    def asked(password: str) -> tuple[int, str]:
        token = base64.b64encode(f"AWS:{password}".encode()).decode()
        status, _, body = Registry(registry.target, token).ask("GET", "/v2/ml/a/tags/list")
        return status, body.decode()

    assert Registry(registry.target).ask("GET", "/v2/")[0] == 401
    assert asked("guess")[0] == 401
    status, body = asked(expired)
    assert status == 403
    assert "Your authorization token has expired. Reauthenticate and try again." in body
    status, body = asked(other)  # another account's token opens that account's registry
    assert status == 404
    assert "registry with id '999999999999'" in body


def test_docker_may_what_the_owner_of_its_token_may(registry: Registry) -> None:
    target = registry.target
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "sts:AssumeRole",
    }
    pushes = ["BatchCheckLayerAvailability", "InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload"]
    resource = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/ml/b"
    allowed = [
        {
            "Effect": "Allow",
            "Action": [f"ecr:{each}" for each in (*pushes, "PutImage")],
            "Resource": resource,
        },
        {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
    ]
    iam = target.client("iam")
    role = iam.create_role(RoleName="pusher", AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))
    iam.put_role_policy(
        RoleName="pusher", PolicyName="own", PolicyDocument=json.dumps({"Statement": allowed})
    )
    given = target.client("sts").assume_role(RoleArn=role["Role"]["Arn"], RoleSessionName="one")[
        "Credentials"
    ]
    ecr = boto3.client(
        "ecr",
        endpoint_url=target.up.endpoint_url,
        region_name=REGION,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    pusher = Registry(target, token)
    assert pusher.image("ml/b", "by-role", b"by role")[0] == 201
    for method, path, action in (
        ("POST", "/v2/ml/a/blobs/uploads/", "InitiateLayerUpload on resource: .*repository/ml/a"),
        ("PUT", "/v2/ml/a/manifests/v9", "PutImage on resource: .*repository/ml/a"),
        ("GET", "/v2/ml/b/manifests/by-role", "BatchGetImage on resource: .*repository/ml/b"),
        ("GET", "/v2/ml/b/tags/list", "ListImages on resource"),
    ):
        status, _, body = pusher.ask(method, path, b"" if method != "GET" else None)
        (error,) = json.loads(body)["errors"]
        assert (status, error["code"]) == (403, "DENIED")
        assert re.search(
            f"assumed-role/pusher/one is not authorized to perform: ecr:{action}", error["message"]
        )


def test_what_was_pushed_outlives_a_restart(registry: Registry) -> None:
    _, digest = registry.image("ml/a", "stays", b"stays")
    down(registry.target.root)
    registry.target.again()
    status, _, manifest = registry.ask("GET", "/v2/ml/a/manifests/stays")
    assert status == 200
    layer = json.loads(manifest)["layers"][0]["digest"]
    assert registry.ask("GET", f"/v2/ml/a/blobs/{layer}")[2] == b"stays"
    ecr = registry.target.client("ecr")
    assert ecr.batch_get_image(repositoryName="ml/a", imageIds=[{"imageDigest": digest}])["images"]


def test_a_manifest_through_the_api_needs_its_layers(registry: Registry) -> None:
    ecr = registry.target.client("ecr")
    known = ecr.batch_get_image(repositoryName="ml/b", imageIds=[{"imageTag": "moved"}])["images"][0]
    ecr.put_image(repositoryName="ml/b", imageManifest=known["imageManifest"], imageTag="promoted")
    assert registry.ask("GET", "/v2/ml/b/manifests/promoted")[0] == 200
    lost = {"digest": f"sha256:{'2' * 64}", "size": 1, "mediaType": "x"}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": lost, "layers": []})
    with pytest.raises(ecr.exceptions.LayersNotFoundException):
        ecr.put_image(repositoryName="ml/b", imageManifest=manifest, imageTag="none")
    with pytest.raises(ecr.exceptions.InvalidParameterException, match="docker push"):
        ecr.initiate_layer_upload(repositoryName="ml/b")


def test_nothing_listens_but_on_the_loopback_and_nothing_is_left(tmp_path: Path) -> None:
    import psutil

    target = Target(tmp_path, ensure_up(tmp_path))
    try:
        target.client("ecr").create_repository(repositoryName="ml/a")
        token = target.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
        Registry(target, token).image("ml/a", "v1", b"x")
        children = psutil.Process(target.up.pid).children(recursive=True)
        listening = [c for child in children for c in child.net_connections() if c.status == "LISTEN"]
        assert listening
        assert {c.laddr.ip for c in listening} == {"127.0.0.1"}
        psutil.Process(target.up.pid).kill()
        # Killed, the server takes its registry along.
        _, alive = psutil.wait_procs(children, timeout=10)
        assert alive == []
    finally:
        down(tmp_path)
