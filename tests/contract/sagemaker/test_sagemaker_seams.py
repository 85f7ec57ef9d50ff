"""The names of MiniStack's that the SageMaker service uses: an upgrade that moves one fails here, by name."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
from ministack import app
from ministack.core import iam_actions, iam_evaluator, responses, router
from ministack.services import tagging


def parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]


def test_a_request_s_account_region_and_caller() -> None:
    with responses.request_scope("111122223333", "eu-west-1"):
        assert (responses.get_account_id(), responses.get_region()) == ("111122223333", "eu-west-1")
        assert iam_evaluator.caller_arn() == "arn:aws:iam::111122223333:root"
    signed = "AWS4-HMAC-SHA256 Credential=AKIA1/20260101/eu-west-1/sagemaker/aws4_request, SignedHeaders=host"
    assert router.extract_access_key_id({"authorization": signed}, {}) == "AKIA1"


def test_the_evaluator_s_answer() -> None:
    assert parameters(iam_evaluator.enforce) == [
        "access_key_id", "iam_action", "service", "region", "resource_arn", "service_context",
    ]  # fmt: skip
    with responses.request_scope("111122223333", "eu-west-1"):
        root = iam_evaluator.enforce("111122223333", "sagemaker:CreateModel", "sagemaker", "eu-west-1")
    assert root is None
    unknown = iam_evaluator.enforce("AKIAUNKNOWN", "sagemaker:CreateModel", "sagemaker", "eu-west-1")
    assert isinstance(unknown, iam_evaluator.AuthError) and unknown.message
    assert {"decision", "principal_arn"} <= set(iam_evaluator.EvalResult.__dataclass_fields__)
    assert "aws:sagemaker" in iam_actions.identity_denial_message("a", "p", "arn:aws:sagemaker", False)
    assert isinstance(app.AUTH, bool)


def test_the_gateway_leaves_the_weighing_to_the_service() -> None:
    # With an entry it would weigh every action on `*`, before the service can name the resource.
    assert "sagemaker" not in iam_actions.SERVICE_TO_IAM_NAMESPACE


def test_tag_collectors(monkeypatch: pytest.MonkeyPatch) -> None:
    arn = "arn:aws:sagemaker:eu-west-1:111122223333:endpoint/e"
    monkeypatch.setitem(
        tagging._RESOURCE_TAG_COLLECTORS, "sagemaker", lambda: [(arn, [{"Key": "k", "Value": "v"}])]
    )
    assert tagging.resource_tags(arn) == {"k": "v"}
    assert isinstance(tagging._COLLECTORS, dict)


def test_the_helper_that_enters_a_namespace_needs_a_bare_interpreter_only() -> None:
    from pipeline.local.sagemaker import netns

    ran = subprocess.run(
        [sys.executable, "-I", "-S", str(netns.__file__)], capture_output=True, text=True, check=False
    )
    assert "IndexError" in ran.stderr and "ModuleNotFoundError" not in ran.stderr
