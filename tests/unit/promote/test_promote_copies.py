"""Bytes from one account to another: objects, images, and the version that names them."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.response import StreamingBody
from botocore.stub import ANY

from pipeline.errors import ApplyError
from pipeline.promote import images, objects, package
from pipeline.promote import tested as found_in
from pipeline.promote.objects import Changed, Place
from pipeline.promote.package import Copies, Declined
from pipeline.promote.tags import Tag
from tests.unit.promote.conftest import Stubbed, settings
from tests.unit.promote.test_promote_tested import GROUP, IMAGE, NOW
from tests.unit.promote.test_promote_tested import package as version

THERE, HERE = Place("theirs", "m.tar.gz"), Place("ours", "m.tar.gz")
DATA = b"weights"
SHA = hashlib.sha256(DATA).hexdigest()
CHECKSUM = base64.b64encode(hashlib.sha256(DATA).digest()).decode()


def body(content: bytes) -> StreamingBody:
    return StreamingBody(io.BytesIO(content), len(content))


def head(content: bytes, **more: Any) -> dict[str, Any]:
    return {"ETag": '"e1"', "ContentLength": len(content), **more}


def quiet(_: str) -> None:
    """Nothing is said."""


# --- objects


def test_an_object_is_sent_with_its_checksum_and_looked_at_after(
    staging: Stubbed, production: Stubbed
) -> None:
    asked = {"Bucket": "theirs", "Key": "m.tar.gz", "ChecksumMode": "ENABLED"}
    staging.s3.add_response("head_object", head(DATA), asked)
    production.s3.add_client_error("head_object", "404", http_status_code=404)
    staging.s3.add_response(
        "get_object",
        {"Body": body(DATA)},
        {"Bucket": "theirs", "Key": "m.tar.gz", "IfMatch": '"e1"'},
    )
    sent = {"Bucket": "ours", "Key": "m.tar.gz", "Body": DATA, "ChecksumSHA256": CHECKSUM, "ContentType": ANY}
    production.s3.add_response("put_object", {}, sent)
    production.s3.add_response("head_object", head(DATA, ChecksumSHA256=CHECKSUM))
    copied = objects.copy(staging.clients, THERE, production.clients, HERE, quiet, tested="e1")
    assert (copied.sha256, copied.new, str(copied.place)) == (SHA, True, "s3://ours/m.tar.gz")


def test_what_is_there_already_is_not_sent_again(staging: Stubbed, production: Stubbed) -> None:
    staging.s3.add_response("head_object", head(DATA))
    production.s3.add_response("head_object", head(DATA, ChecksumSHA256=CHECKSUM))
    copied = objects.copy(staging.clients, THERE, production.clients, HERE, quiet, sha256=SHA)
    assert (copied.sha256, copied.new) == (SHA, False)


def test_what_was_overwritten_here_is_put_right(staging: Stubbed, production: Stubbed) -> None:
    other = base64.b64encode(hashlib.sha256(b"weighty").digest()).decode()
    staging.s3.add_response("head_object", head(DATA))
    production.s3.add_response("head_object", head(DATA, ChecksumSHA256=other))
    staging.s3.add_response("get_object", {"Body": body(DATA)})
    production.s3.add_response("put_object", {})
    production.s3.add_response("head_object", head(DATA, ChecksumSHA256=CHECKSUM))
    assert objects.copy(staging.clients, THERE, production.clients, HERE, quiet, sha256=SHA).new


def test_what_was_replaced_or_is_gone_there_is_refused(staging: Stubbed, production: Stubbed) -> None:
    staging.s3.add_response("head_object", head(DATA))
    with pytest.raises(Changed, match="replaced after it was tested"):
        objects.copy(staging.clients, THERE, production.clients, HERE, quiet, tested="e0")
    staging.s3.add_client_error("head_object", "404", http_status_code=404)
    with pytest.raises(Changed, match="gone"):
        objects.copy(staging.clients, THERE, production.clients, HERE, quiet)
    staging.s3.add_response("head_object", head(DATA))
    production.s3.add_client_error("head_object", "404", http_status_code=404)
    staging.s3.add_response("get_object", {"Body": body(DATA)})
    production.s3.add_response("put_object", {})
    with pytest.raises(Changed, match="promoted was ffff"):
        objects.copy(staging.clients, THERE, production.clients, HERE, quiet, sha256="f" * 64)


def test_what_arrives_as_something_else_is_not_believed(staging: Stubbed, production: Stubbed) -> None:
    staging.s3.add_response("head_object", head(DATA))
    production.s3.add_client_error("head_object", "404", http_status_code=404)
    staging.s3.add_response("get_object", {"Body": body(DATA)})
    production.s3.add_response("put_object", {})
    production.s3.add_response("head_object", head(b"other"))
    production.s3.add_response("get_object", {"Body": body(b"other")})
    with pytest.raises(ApplyError, match="what arrived"):
        objects.copy(staging.clients, THERE, production.clients, HERE, quiet)


def test_a_large_object_goes_in_parts_and_is_read_back(
    staging: Stubbed, production: Stubbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "PART", 4)
    staging.s3.add_response("head_object", head(DATA))
    production.s3.add_client_error("head_object", "404", http_status_code=404)
    staging.s3.add_response("get_object", {"Body": body(DATA)})
    named = {"Bucket": "ours", "Key": "m.tar.gz"}
    wanted = {**named, "ContentType": ANY, "ChecksumAlgorithm": "SHA256"}
    production.s3.add_response("create_multipart_upload", {"UploadId": "u"}, wanted)
    parts = []
    for number, content in enumerate((b"weig", b"hts"), start=1):
        checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
        parts.append({"PartNumber": number, "ETag": f"p{number}", "ChecksumSHA256": checksum})
        production.s3.add_response(
            "upload_part",
            {"ETag": f"p{number}"},
            {**named, "UploadId": "u", "PartNumber": number, "Body": content, "ChecksumSHA256": checksum},
        )
    done = {**named, "UploadId": "u", "MultipartUpload": {"Parts": parts}}
    production.s3.add_response("complete_multipart_upload", {}, done)
    # Of an object in parts S3 has no checksum of the whole.
    production.s3.add_response("head_object", head(DATA, ChecksumSHA256="abc-2", ChecksumType="COMPOSITE"))
    production.s3.add_response("get_object", {"Body": body(DATA)})
    assert objects.copy(staging.clients, THERE, production.clients, HERE, quiet).sha256 == SHA


def test_an_upload_that_breaks_is_taken_away(
    staging: Stubbed, production: Stubbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "PART", 4)
    staging.s3.add_response("head_object", head(DATA))
    production.s3.add_client_error("head_object", "404", http_status_code=404)
    staging.s3.add_response("get_object", {"Body": body(DATA)})
    production.s3.add_response("create_multipart_upload", {"UploadId": "u"})
    production.s3.add_client_error("upload_part", "InternalError")
    production.s3.add_response(
        "abort_multipart_upload", {}, {"Bucket": "ours", "Key": "m.tar.gz", "UploadId": "u"}
    )
    with pytest.raises(Exception, match="InternalError"):
        objects.copy(staging.clients, THERE, production.clients, HERE, quiet)


# --- the version


TAG = Tag("v1.0.0", "c" * 40, "main", "R")
COPIES = Copies(
    IMAGE.replace("222222222222", "333333333333"),
    "s3://ours/m.tar.gz",
    SHA,
    {"s3://b/e.json": "s3://ours/e.json"},
)


def release(**more: Any) -> found_in.Tested:
    found = version(4, git_sha="f" * 40, evaluation_uri="s3://b/e.json", image=IMAGE, note="a (b), c")
    quality = {
        "Statistics": {"ContentType": "application/json", "S3Uri": "s3://b/e.json", "ContentDigest": "x"}
    }
    found |= {"ModelMetrics": {"ModelQuality": quality}, **more}
    return found_in.Tested(
        found, "ml/iris", "sha256:" + "a" * 64, "s3://b/m.tar.gz", "e1", "c2", "arn", "made from"
    )


def test_a_version_says_where_it_is_from_in_the_registrys_alphabet(
    tmp_path: Path, production: Stubbed
) -> None:
    wanted = package.request(
        settings(tmp_path, "production", "333333333333", "manual"), release(), TAG, COPIES
    )
    facts = wanted["CustomerMetadataProperties"]
    assert facts["promoted_from"] == f"{GROUP}/4"
    assert (facts["promoted_tag"], facts["promoted_commit"]) == ("v1.0.0", "c" * 40)
    assert (facts["model_sha256"], facts["git_sha"], facts["note"]) == (SHA, "f" * 40, "a _b__ c")
    assert facts["image"] == COPIES.image and facts["evaluation_uri"] == "s3://ours/e.json"
    assert wanted["ModelApprovalStatus"] == "PendingManualApproval"
    (container,) = wanted["InferenceSpecification"]["Containers"]
    assert container == {"Image": COPIES.image, "ModelDataUrl": "s3://ours/m.tar.gz"}
    assert wanted["InferenceSpecification"]["SupportedRealtimeInferenceInstanceTypes"] == ["ml.m5.xlarge"]
    statistics = wanted["ModelMetrics"]["ModelQuality"]["Statistics"]
    assert statistics == {"ContentType": "application/json", "S3Uri": "s3://ours/e.json"}
    # botocore's model takes the request as it is.
    production.sagemaker.add_response("create_model_package", {"ModelPackageArn": f"{GROUP}/1"}, wanted)
    production.clients.sagemaker.create_model_package(**wanted)
    again = package.request(settings(tmp_path, "production", "333333333333"), release(), TAG, COPIES)
    assert (again["ClientToken"], again["ModelApprovalStatus"]) == (wanted["ClientToken"], "Approved")
    assert package.reports(release().package) == ["s3://b/e.json"]


def listed(aws: Stubbed, found: dict[str, Any]) -> None:
    summary = {
        "ModelPackageArn": found["ModelPackageArn"],
        "CreationTime": NOW,
        "ModelPackageStatus": "Completed",
        "ModelPackageDescription": f"v1.0.0, promoted from {GROUP}/4",
    }
    aws.sagemaker.add_response("list_model_packages", {"ModelPackageSummaryList": [summary]})
    aws.sagemaker.add_response("describe_model_package", found)


def test_what_was_registered_is_found_and_not_doubled(tmp_path: Path, production: Stubbed) -> None:
    place = settings(tmp_path, "production", "333333333333")
    mine = version(1, promoted_from=f"{GROUP}/4", promoted_tag="v1.0.0")
    mine["InferenceSpecification"]["Containers"] = [{"Image": COPIES.image, "ModelDataUrl": COPIES.model_url}]
    listed(production, mine)
    found = package.register(place, production.clients, release(), TAG, COPIES)
    assert found["ModelPackageVersion"] == 1
    listed(production, mine)
    other = Copies(COPIES.image, "s3://ours/other.tar.gz", SHA)
    with pytest.raises(ApplyError, match="it was registered with"):
        package.register(place, production.clients, release(), TAG, other)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (version(1, "Rejected", promoted_from=f"{GROUP}/4", promoted_tag="v1.0.0"), "rejected what v1.0.0"),
        (
            version(1, promoted_from=f"{GROUP}/4", promoted_tag="v1.0.0", rolled_back="2026: wilts"),
            "rolled v1.0.0, version 1, back at 2026: wilts",
        ),
    ],
)
def test_what_was_declined_here_is_not_brought_again(
    tmp_path: Path, production: Stubbed, found: dict[str, Any], why: str
) -> None:
    listed(production, found)
    with pytest.raises(Declined, match=why):
        package.find(settings(tmp_path, "production", "333333333333"), production.clients, release(), TAG)


# --- images

CONFIG, LAYER = b'{"config": 1}', b"layer" * 50


def named(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "config": {"digest": named(CONFIG), "size": len(CONFIG)},
        "layers": [{"digest": named(LAYER), "size": len(LAYER)}] * 2,
    }
)
KIND = "application/vnd.docker.distribution.manifest.v2+json"
TOKEN = base64.b64encode(b"AWS:secret").decode()


class Registry:
    """The registry's protocol, as far as a push goes; answers are counted, `broken` ones fail first."""

    def __init__(self, content: dict[str, bytes], *, broken: int = 0, mounts: bool = False) -> None:
        self.content, self.broken, self.mounts = content, broken, mounts
        self.received: dict[str, bytes] = {}
        self._open: dict[str, bytes] = {}
        self.asked: list[str] = []

    def http(self, method: str, url: str, headers: dict[str, str], data: Any = None) -> Any:
        self.asked.append(f"{method} {url}")
        if url.startswith("https://signed/"):
            found = self.content[url.removeprefix("https://signed/")]
            return SimpleNamespace(
                status_code=200, raw=io.BytesIO(found), headers={"Content-Length": str(len(found))}
            )
        assert headers["Authorization"] == f"Basic {TOKEN}"
        if method == "POST":
            if self.broken:
                self.broken -= 1
                return SimpleNamespace(status_code=503, headers={}, content=b"busy")
            if "mount=" in url and self.mounts:
                return SimpleNamespace(status_code=201, headers={})
            return SimpleNamespace(status_code=202, headers={"Location": "/v2/ml/iris/blobs/uploads/1?s=x"})
        if method == "PATCH":
            self._open["1"] = b"".join(iter(lambda: data.read(7), b""))
            return SimpleNamespace(status_code=202, headers={"Location": "/v2/ml/iris/blobs/uploads/1?s=y"})
        digest = url.rpartition("digest=")[2].replace("%3A", ":")
        assert url.startswith("https://registry/v2/ml/iris/blobs/uploads/1?s=y&"), url
        self.received[digest] = self._open.pop("1")
        return SimpleNamespace(status_code=201, headers={})


def replicating(
    staging: Stubbed, production: Stubbed, registry: Registry, monkeypatch: pytest.MonkeyPatch, layers: int
) -> None:
    """What both APIs are asked for while `layers` layers go."""
    for stubbed in (staging, production):
        monkeypatch.setattr(stubbed.clients, "http", registry.http, raising=False)
    monkeypatch.setattr(images.Pace, "wait", lambda *_: None)
    production.ecr.add_client_error("describe_images", "ImageNotFoundException")
    image = {"imageManifest": MANIFEST, "imageManifestMediaType": KIND}
    staging.ecr.add_response("batch_get_image", {"images": [image]})
    parts = [named(CONFIG), named(LAYER)]
    states = [
        {"layerDigest": d, "layerAvailability": "UNAVAILABLE" if n >= 2 - layers else "AVAILABLE"}
        for n, d in enumerate(parts)
    ]
    production.ecr.add_response(
        "batch_check_layer_availability",
        {"layers": states},
        {"repositoryName": "ml/iris", "layerDigests": parts},
    )


def login(aws: Stubbed) -> None:
    found = {"authorizationToken": TOKEN, "proxyEndpoint": "https://registry"}
    aws.ecr.add_response("get_authorization_token", {"authorizationData": [found]})


def signed(aws: Stubbed, digest: str) -> None:
    url = {"downloadUrl": f"https://signed/{digest}", "layerDigest": digest}
    aws.ecr.add_response(
        "get_download_url_for_layer", url, {"repositoryName": "ml/iris", "layerDigest": digest}
    )


def put(aws: Stubbed) -> None:
    wanted = {
        "repositoryName": "ml/iris",
        "imageManifest": MANIFEST,
        "imageManifestMediaType": KIND,
        "imageTag": "src-1",
        "imageDigest": named(MANIFEST.encode()),
    }
    aws.ecr.add_response("put_image", {}, wanted)
    aws.ecr.add_response("describe_images", {"imageDetails": [{"imageDigest": named(MANIFEST.encode())}]})


def test_an_image_goes_by_digest_layer_by_layer(
    staging: Stubbed, production: Stubbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each layer once, though the manifest names it twice; a busy registry is asked again."""
    registry = Registry({named(CONFIG): CONFIG, named(LAYER): LAYER}, broken=1)
    replicating(staging, production, registry, monkeypatch, layers=2)
    for _ in range(3):
        login(production)
    signed(staging, named(CONFIG))
    signed(staging, named(LAYER))
    put(production)
    digest = named(MANIFEST.encode())
    assert images.replicate(staging.clients, production.clients, "ml/iris", digest, "src-1", quiet)
    assert registry.received == {named(CONFIG): CONFIG, named(LAYER): LAYER}


def test_a_layer_another_repository_has_is_mounted(
    staging: Stubbed, production: Stubbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry({}, mounts=True)
    replicating(staging, production, registry, monkeypatch, layers=1)
    production.ecr.add_client_error("batch_check_layer_availability", "RepositoryNotFoundException")
    there = [{"layerDigest": named(LAYER), "layerAvailability": "AVAILABLE"}]
    production.ecr.add_response("batch_check_layer_availability", {"layers": there})
    login(production)
    put(production)
    digest = named(MANIFEST.encode())
    siblings = ["ml/iris", "ml/none", "ml/mnist"]
    images.replicate(staging.clients, production.clients, "ml/iris", digest, "src-1", quiet, siblings)
    mount = f"?mount={named(LAYER).replace(':', '%3A')}&from=ml%2Fmnist"
    assert registry.asked == [f"POST https://registry/v2/ml/iris/blobs/uploads/{mount}"]


def test_a_layer_that_is_not_what_its_digest_says_is_not_finished(
    staging: Stubbed, production: Stubbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry({named(LAYER): LAYER[:-1] + b"?"})
    replicating(staging, production, registry, monkeypatch, layers=1)
    login(production)
    signed(staging, named(LAYER))
    with pytest.raises(ApplyError, match="came as"):
        images.replicate(
            staging.clients, production.clients, "ml/iris", named(MANIFEST.encode()), "src-1", quiet
        )
    assert registry.received == {}


def test_an_immutable_tag_of_another_image_is_told(staging: Stubbed, production: Stubbed) -> None:
    found = {"imageDetails": [{"imageDigest": "sha256:" + "b" * 64}]}
    production.ecr.add_response("describe_images", found)
    with pytest.raises(ApplyError, match="was built in this account") as refused:
        images.replicate(staging.clients, production.clients, "ml/iris", "sha256:" + "a" * 64, "src-1", quiet)
    assert "batch-delete-image" in refused.value.hint


def test_an_image_that_is_there_costs_one_look(staging: Stubbed, production: Stubbed) -> None:
    found = {"imageDetails": [{"imageDigest": "sha256:" + "a" * 64}]}
    production.ecr.add_response("describe_images", found)
    digest = "sha256:" + "a" * 64
    assert not images.replicate(staging.clients, production.clients, "ml/iris", digest, "src-1", quiet)
