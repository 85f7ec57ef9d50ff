"""What CreateTransformJob refuses beyond the model's constraints: contradictions, and the undoable here."""

from __future__ import annotations

from typing import Any

from pipeline.local.sagemaker.errors import NotSupported, ValidationException
from pipeline.local.sagemaker.transform_path import BadPath, Path, compiled
from pipeline.local.sagemaker.transform_records import format_of

_MOST_MB = 100  # of MaxPayloadInMB, and of MaxConcurrentTransforms times it


def check(request: dict[str, Any]) -> None:
    """Raise NotSupported or ValidationException for a request that cannot be run as asked."""
    for member, feature in (
        ("DataCaptureConfig", "DataCaptureConfig of a transform job"),
        ("ExperimentConfig", "ExperimentConfig"),
    ):
        if request.get(member):
            raise NotSupported(feature)
    given, output = request["TransformInput"], request["TransformOutput"]
    kind = given["DataSource"]["S3DataSource"]["S3DataType"]
    if kind not in ("S3Prefix", "ManifestFile"):
        raise NotSupported(f"S3DataType {kind} of a transform job")
    split = given.get("SplitType") or "None"
    if split not in ("None", "Line"):
        raise NotSupported(f"SplitType {split}")
    if request["TransformResources"]["InstanceCount"] > 1:
        raise NotSupported("TransformResources.InstanceCount greater than 1")
    if (output.get("AssembleWith") or "None") == "Line" and split == "None" and _processes(request):
        raise ValidationException("AssembleWith Line needs SplitType Line when DataProcessing is used.")
    _sizes(request)
    if request.get("BatchStrategy") == "SingleRecord" and split == "None":
        raise ValidationException("To enable the batch strategy, you must set SplitType to Line.")
    _processing(request, split)


def path(text: str | None) -> Path:
    """A filter; raises ValidationException for one that is none."""
    try:
        return compiled(text or "$")
    except BadPath as error:
        raise ValidationException(f"Invalid JSONPath: {error}.") from None


def _processes(request: dict[str, Any]) -> bool:
    processing = request.get("DataProcessing") or {}
    filters = [path(processing.get(member)) for member in ("InputFilter", "OutputFilter")]
    return processing.get("JoinSource") == "Input" or not all(each.whole for each in filters)


def _sizes(request: dict[str, Any]) -> None:
    payload, at_once = request.get("MaxPayloadInMB"), request.get("MaxConcurrentTransforms")
    if payload is not None and payload > _MOST_MB:
        raise ValidationException(f"MaxPayloadInMB cannot be greater than {_MOST_MB} MB.")
    if payload and at_once and payload * at_once > _MOST_MB:
        raise ValidationException(
            f"MaxConcurrentTransforms * MaxPayloadInMB is {payload * at_once}; it cannot exceed {_MOST_MB}."
        )


def _processing(request: dict[str, Any], split: str) -> None:
    if not _processes(request):
        return
    processing = request["DataProcessing"]
    content, accept = request["TransformInput"].get("ContentType"), request["TransformOutput"].get("Accept")
    kind = format_of(content or "")
    if not kind:
        raise ValidationException(
            "DataProcessing needs a ContentType of text/csv, application/json or application/jsonlines, not "
            f"{content}."
        )
    if accept and (format_of(accept) == "csv") != (kind == "csv"):
        raise ValidationException(
            f"DataProcessing needs one format: ContentType is {content}, Accept {accept}."
        )
    assemble = request["TransformOutput"].get("AssembleWith") or "None"
    if kind != "json" and not split == assemble == "Line":
        raise ValidationException(f"With {content}, SplitType and AssembleWith must both be Line.")
    for member in ("InputFilter", "OutputFilter"):
        if kind == "csv" and not path(processing.get(member)).by_index:
            raise ValidationException(f"{member} {processing[member]}: rows of CSV have indexes, not names.")
