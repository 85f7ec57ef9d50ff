"""Put a model into the registry with everything that says where it came from."""

from __future__ import annotations

from typing import Any

from pipeline.steps.block import IMAGE, Block, call, go_on
from pipeline.steps.bundle import Bundle
from pipeline.steps.evaluate import Evaluate
from pipeline.steps.notify import tell
from pipeline.steps.sdk import Chain, Fail
from pipeline.steps.train import Train
from pipeline.steps.view import Settings

PACKAGE_ARN = "$.package.ModelPackageArn"
CONTENT_TYPES = ("text/csv", "application/json", "application/jsonlines")


class Register(Block):
    """Registers the model that passed the gate; `$.package.ModelPackageArn` is its version.

    It is `Approved` where approval is automatic, else `PendingManualApproval` until `Approve` decides.
    """

    def __init__(
        self,
        settings: Settings,
        model: Train | Bundle,
        report: Evaluate,
        *,
        content_types: tuple[str, ...] = CONTENT_TYPES,
    ) -> None:
        automatic = settings.environment.approval.mode == "automatic"
        step = create_package(
            settings,
            "Register",
            "Approved" if automatic else "PendingManualApproval",
            model,
            report,
            content_types,
            comment="One version in the registry: metrics, git sha, image digest, data version.",
        )
        self._step = step
        super().__init__(settings, [step])

    def record(self, metadata: dict[str, str]) -> None:
        """Keep more in the version's metadata; keys that end in `.$` are paths into the run's data."""
        known = self._step.fields["parameters"]["CustomerMetadataProperties"]
        self._step.amend({"CustomerMetadataProperties": {**known, **metadata}})


def create_package(
    settings: Settings,
    state_id: str,
    status: str,
    model: Train | Bundle,
    report: Evaluate,
    content_types: tuple[str, ...] = CONTENT_TYPES,
    **fields: Any,
) -> Any:
    """A Task that makes a model package of status Approved, PendingManualApproval or Rejected.

    A versioned package takes no tags of its own: it has those of its group.
    """
    instances = [settings.environment.endpoint.instance_type]
    trained = model.model if isinstance(model, Bundle) else model
    parameters: dict[str, Any] = {
        "ModelPackageGroupName": settings.stack_name,
        # The same run never makes two versions, however often the call is repeated.
        "ClientToken.$": "$.run.run_id",
        "ModelApprovalStatus": status,
        "InferenceSpecification": {
            "Containers": [{"Image": IMAGE, "ModelDataUrl.$": model.artifacts}],
            "SupportedContentTypes": list(content_types),
            "SupportedResponseMIMETypes": list(content_types),
            "SupportedRealtimeInferenceInstanceTypes": instances,
            "SupportedTransformInstanceTypes": instances,
        },
        "ModelMetrics": {
            "ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri.$": report.report}}
        },
        "CustomerMetadataProperties": {
            "git_sha.$": "$.run.provenance.git_sha",
            "pull_request.$": "$.run.provenance.pull_request",
            "run_url.$": "$.run.provenance.run_url",
            # What it was started for, where that was not somebody's wish or the clock: drift.
            "reason.$": "$.run.provenance.reason",
            "image": IMAGE,
            "data_version.$": "$.run.data_version",
            "data_date.$": "$.run.date",
            "fingerprint.$": "$.run.fingerprint",
            "train_fingerprint.$": f"$.run.fingerprints.{trained.job.fingerprint}",
            "evaluate_fingerprint.$": f"$.run.fingerprints.{report.job.fingerprint}",
            "model_fingerprint.$": "$.run.fingerprints.model",
            "training_job.$": model.job_name,
            **model.metadata,
            "evaluation_uri.$": report.report,
            # What decided, in numbers; the whole arithmetic is the execution's, shown by `pipeline gate`.
            "gate.$": "$.gate.summary",
            "champion.$": "$.gate.champion.package",
            "execution.$": "$$.Execution.Id",
        },
    }
    if status == "Rejected":
        parameters["ModelPackageDescription.$"] = "$.gate.reason"
    return call(
        state_id, "sagemaker", "createModelPackage", parameters, result_path="$.package", **fields
    ).select({"ModelPackageArn.$": "$.ModelPackageArn"})


def set_approval(state_id: str, status: str, description: str, **fields: Any) -> Any:
    """A Task that approves or rejects the registered version; `description` is a text, a path or a call."""
    key = "ApprovalDescription.$" if description.startswith(("$", "States.")) else "ApprovalDescription"
    parameters = {"ModelPackageArn.$": PACKAGE_ARN, "ModelApprovalStatus": status, key: description}
    return call(state_id, "sagemaker", "updateModelPackage", parameters, result_path=None, **fields)


def rejected(settings: Settings, model: Train | Bundle, report: Evaluate) -> Chain:
    """Keep the rejected model with the reason, tell, and fail the run by the name ModelRejected."""
    register = create_package(settings, "RegisterRejected", "Rejected", model, report)
    explain = set_approval(
        "ExplainRejection",
        "Rejected",
        "$.gate.reason",
        comment="CreateModelPackage has no field for the reason; the version exists already.",
    )
    told = tell(
        settings,
        "NotifyRejected",
        "rejected",
        {
            "reason.$": "$.gate.reason",
            "metrics.$": "$.gate.metrics",
            "arithmetic.$": "$.gate.explanation",
            "model_package.$": PACKAGE_ARN,
            "date.$": "$.run.date",
        },
    )
    fail = Fail("ModelRejected", error="ModelRejected", cause="$.gate.reason")
    chain = Chain([register, explain, told, fail])
    go_on(explain, told)
    return chain
