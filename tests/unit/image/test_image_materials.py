"""What an image is made of: the lock's pins for its platform, its bill, what a scanner found in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from pipeline.aws import Clients, Target
from pipeline.errors import ApplyError
from pipeline.image import lock, resolve, sbom, scan, wheelhouse

HASH = "a" * 64
LOCK = f"""\
# uv pip compile --universal --python-version 3.12 --generate-hashes
one==1.0 \\
    --hash=sha256:{HASH} \\
    --hash=sha256:{"b" * 64}
    # via two
two[extra]==2.0.post1 ; sys_platform == 'linux' and python_version < '3.13' \\
    --hash=sha256:{HASH}
windows==3.0 ; sys_platform == 'win32' \\
    --hash=sha256:{HASH}
arm==4.0 ; platform_machine == 'aarch64' \\
    --hash=sha256:{HASH}
"""


def test_a_lock_is_read_for_the_images_platform_not_for_this_machine(tmp_path: Path) -> None:
    path = tmp_path / "requirements.lock"
    path.write_text(LOCK)
    read = lock.read(path)
    assert read.python == "3.12"
    assert [pin.name for pin in read.on_linux("x86_64")] == ["one", "two"]
    assert [pin.name for pin in read.on_linux("aarch64")] == ["one", "two", "arm"]
    assert read.pins[0].hashes == (HASH, "b" * 64)
    assert read.pins[1].version == "2.0.post1"


def test_iris_lock_is_read_whole() -> None:
    path = Path(__file__).parents[3] / "container/iris/requirements.lock"
    pins = lock.read(path).on_linux("x86_64")
    assert {"lightgbm", "numpy"} <= {pin.name for pin in pins}
    assert all(pin.hashes for pin in pins)


def test_a_folder_without_a_hashed_lock_has_no_wheelhouse(tmp_path: Path) -> None:
    assert wheelhouse.ensure(tmp_path, "amd64") == []
    (tmp_path / "requirements.lock").write_text("one==1.0\n")
    assert wheelhouse.ensure(tmp_path, "amd64") == []


def test_wheels_that_cannot_be_had_are_an_error_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "requirements.lock").write_text(LOCK)
    command = ["sh", "-c", "echo no matching distribution; exit 1"]
    monkeypatch.setattr(wheelhouse, "_command", lambda *_: command)
    with pytest.raises(ApplyError, match=r"(?s)cannot be downloaded.*no matching distribution"):
        wheelhouse.ensure(tmp_path, "amd64")
    assert [path.suffix for path in wheelhouse.cache().iterdir()] == [".lock"]


def test_a_bill_lists_wheels_by_hash_and_debian_packages(tmp_path: Path) -> None:
    wheel = tmp_path / "Some_Name-1.2-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
    wheel.write_bytes(b"content")
    status = (
        "Package: libc6\nStatus: install ok unpacked\nVersion: 2.36-9+deb12u1\nArchitecture: amd64\n"
        "Description: x\n more: y\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n"
    )
    made = sbom.bill("ml/x", "sha256:00", [*sbom.python_components([wheel]), *sbom.packages(status)])
    assert [c["purl"] for c in made["components"]] == [
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u1?arch=amd64",
        "pkg:pypi/some-name@1.2",
    ]
    assert made["components"][1]["hashes"][0]["alg"] == "SHA-256"
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.6")
    again = sbom.bill("ml/x", "sha256:00", made["components"])
    assert json.dumps(again) == json.dumps(made)


@pytest.fixture
def ecr() -> tuple[Stubber, Clients]:
    target = Target("aws", None, "eu-west-1", "111111111111")
    session = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="eu-west-1")
    clients = Clients(target, session)
    stubber = Stubber(clients.ecr)
    stubber.activate()
    return stubber, clients


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            {
                "imageScanStatus": {"status": "COMPLETE"},
                "imageScanFindings": {"findingSeverityCounts": {"LOW": 3, "HIGH": 1}},
            },
            "vulnerabilities: 1 high, 3 low",
        ),
        ({"imageScanStatus": {"status": "COMPLETE"}, "imageScanFindings": {}}, "no vulnerability found"),
        ({"imageScanStatus": {"status": "IN_PROGRESS"}}, "not scanned for vulnerabilities (in progress)"),
        ("ScanNotFoundException", "not scanned for vulnerabilities"),
        ("AccessDeniedException", "the role may not ask"),
    ],
)
def test_findings_are_told_and_so_is_that_nobody_looked(
    ecr: tuple[Stubber, Clients], answer: dict[str, Any] | str, told: str
) -> None:
    stubber, clients = ecr
    if isinstance(answer, str):
        stubber.add_client_error("describe_image_scan_findings", answer, "x")
    else:
        stubber.add_response("describe_image_scan_findings", answer)
    assert told in scan.findings(clients, "ml/x", "sha256:" + "0" * 64)


def test_an_image_that_sagemaker_rejects_is_not_taken(ecr: tuple[Stubber, Clients], tmp_path: Path) -> None:
    stubber, clients = ecr
    oci = "application/vnd.oci.image.manifest.v1+json"
    detail = {"imageDigest": "sha256:" + "0" * 64, "imageManifestMediaType": oci}
    stubber.add_response("describe_images", {"imageDetails": [detail]})
    with pytest.raises(resolve.NotRunnable, match="SageMaker does not run") as caught:
        resolve.lookup(clients, resolve.ImageSource(tmp_path, "ml/x", "src-1"))
    assert "batch-delete-image" in caught.value.hint
