"""The fields of the Amazon States Language, by state type (states-language.net and AWS's additions to it)."""

from __future__ import annotations

TOP = frozenset(
    {
        "Comment",
        "QueryLanguage",
        "StartAt",
        "States",
        "TimeoutSeconds",
        "Version",
        "ProcessorConfig",
        "Assign",
    }
)
COMMON = frozenset({"Type", "Comment", "QueryLanguage"})

_FLOW = frozenset({"Next", "End"})
_IO = frozenset({"InputPath", "OutputPath", "Output", "Assign"})
_RESULT = frozenset({"Parameters", "Arguments", "ResultPath", "ResultSelector", "Retry", "Catch"})

FIELDS: dict[str, frozenset[str]] = {
    "Pass": _FLOW | _IO | {"Parameters", "Result", "ResultPath"},
    "Task": _FLOW
    | _IO
    | _RESULT
    | {
        "Credentials",
        "HeartbeatSeconds",
        "HeartbeatSecondsPath",
        "Resource",
        "TimeoutSeconds",
        "TimeoutSecondsPath",
    },
    "Choice": _IO | {"Choices", "Default"},
    "Wait": _FLOW | _IO | {"Seconds", "SecondsPath", "Timestamp", "TimestampPath"},
    "Succeed": frozenset({"InputPath", "OutputPath", "Output"}),
    "Fail": frozenset({"Cause", "CausePath", "Error", "ErrorPath"}),
    "Parallel": _FLOW | _IO | _RESULT | {"Branches"},
    "Map": _FLOW
    | _IO
    | _RESULT
    | {
        "ItemBatcher",
        "ItemProcessor",
        "ItemReader",
        "ItemSelector",
        "Items",
        "ItemsPath",
        "Iterator",
        "Label",
        "MaxConcurrency",
        "MaxConcurrencyPath",
        "ResultWriter",
        "ToleratedFailureCount",
        "ToleratedFailureCountPath",
        "ToleratedFailurePercentage",
        "ToleratedFailurePercentagePath",
    },
}

REQUIRED: dict[str, tuple[str, ...]] = {
    "Task": ("Resource",),
    "Choice": ("Choices",),
    "Parallel": ("Branches",),
}

# What one query language has and the other has not.
JSONPATH_FIELDS = frozenset(
    {
        "CausePath",
        "ErrorPath",
        "HeartbeatSecondsPath",
        "InputPath",
        "ItemsPath",
        "MaxConcurrencyPath",
        "OutputPath",
        "Parameters",
        "ResultPath",
        "ResultSelector",
        "SecondsPath",
        "TimeoutSecondsPath",
        "TimestampPath",
        "ToleratedFailureCountPath",
        "ToleratedFailurePercentagePath",
    }
)
JSONATA_FIELDS = frozenset({"Arguments", "Items", "Output"})
