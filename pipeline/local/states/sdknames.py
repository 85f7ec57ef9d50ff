"""Names as the AWS SDK for Java 2 makes them: services, errors and keys of aws-sdk integrations."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from pipeline.local.states.jsontext import dumps

# Integration names (the service id in small letters, no blanks) that are not botocore's name without hyphens.
# tests/contract/states/test_states_seams.py compares it with all of botocore's models.
BOTOCORE_NAMES = {
    "applicationdiscoveryservice": "discovery",
    "cloudwatchlogs": "logs",
    "cognitoidentityprovider": "cognito-idp",
    "configservice": "config",
    "costandusagereportservice": "cur",
    "costexplorer": "ce",
    "databasemigrationservice": "dms",
    "directoryservice": "ds",
    "directoryservicedata": "ds-data",
    "elasticloadbalancing": "elb",
    "elasticloadbalancingv2": "elbv2",
    "elasticsearchservice": "es",
    "eventbridge": "events",
    "iotdataplane": "iot-data",
    "iotjobsdataplane": "iot-jobs-data",
    "lexmodelbuildingservice": "lex-models",
    "lexmodelsv2": "lexv2-models",
    "lexruntimeservice": "lex-runtime",
    "lexruntimev2": "lexv2-runtime",
    "marketplaceentitlementservice": "marketplace-entitlement",
    "marketplacemetering": "meteringmarketplace",
    "migrationhub": "mgh",
    "pinpointsmsvoice": "sms-voice",
    "serverlessapplicationrepository": "serverlessrepo",
    "sfn": "stepfunctions",
    "simpledb": "sdb",
}


def words(name: str) -> list[str]:
    """The words of an identifier: DBClusterNotFound -> DB, Cluster, Not, Found."""
    text = re.sub(r"[^A-Za-z0-9]+", " ", name)
    text = re.sub(r"([^a-z]{2,})v([0-9]+)", r"\1 v\2 ", text)
    text = re.sub(r"([^A-Z]{2,})V([0-9]+)", r"\1 V\2 ", text)
    text = re.sub(r"(?<=[a-z])(?=[A-Z][a-zA-Z0-9])", " ", text)
    text = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1 \2", text)
    text = re.sub(r"([0-9])([a-zA-Z])", r"\1 \2", text)
    return text.split()


def pascal(name: str) -> str:
    """The identifier as a Java class name: DynamoDB -> DynamoDb, SSM -> Ssm."""
    return "".join(word[:1].upper() + word[1:].lower() for word in words(name))


def exception_name(shape: str) -> str:
    """The Java exception class of a modelled error: NoSuchKey -> NoSuchKeyException."""
    for suffix in ("Fault", "Exception"):
        if shape.endswith(suffix):
            return pascal(shape[: -len(suffix)]) + "Exception"
    return pascal(shape) + "Exception"


def modelled_error(service_model: Any, code: str) -> str | None:
    """The exception class for an error code the service's model knows, else None."""
    for shape in service_model.error_shapes:
        wire = (shape.metadata.get("error") or {}).get("code", shape.name)
        if code in (wire, shape.name):
            return exception_name(shape.name)
    return None


def request_parameters(value: Any, shape: Any) -> Any:
    """Parameters with a Task's PascalCase keys as botocore wants them; unknown keys stay as they are."""
    if shape.type_name == "structure" and isinstance(value, dict):
        by_name = {member.lower(): member for member in shape.members}
        renamed = {}
        for key, item in value.items():
            if item is None:
                continue  # an absent member, as for the SDK
            member = by_name.get(key.lower(), key)
            renamed[member] = (
                request_parameters(item, shape.members[member]) if member in shape.members else item
            )
        return renamed
    if shape.type_name == "list" and isinstance(value, list):
        return [request_parameters(item, shape.member) for item in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: request_parameters(item, shape.value) for key, item in value.items()}
    if shape.type_name == "string" and isinstance(value, (dict, list)):
        # Step Functions passes JSON where an API takes a string (an execution's Input, a message's body).
        return dumps(value)
    return value


def response_value(value: Any, shape: Any, *, epoch_millis: bool) -> Any:
    """A botocore response as a Task's output: members' first letters large, dates and blobs as JSON.

    Args:
        shape: botocore's output shape; None where there is none.
        epoch_millis: dates as milliseconds since 1970 (optimised integrations) instead of ISO 8601 (aws-sdk).
    """
    kind = shape.type_name if shape is not None else ""
    if kind == "structure" and isinstance(value, dict):
        return {
            key[:1].upper() + key[1:]: response_value(item, shape.members.get(key), epoch_millis=epoch_millis)
            for key, item in value.items()
            if key in shape.members and item is not None
        }
    if kind == "list" and isinstance(value, (list, tuple)):
        return [response_value(item, shape.member, epoch_millis=epoch_millis) for item in value]
    if kind == "map" and isinstance(value, dict):
        return {
            key: response_value(item, shape.value, epoch_millis=epoch_millis) for key, item in value.items()
        }
    if isinstance(value, datetime):
        moment = value.astimezone(UTC)
        if epoch_millis:
            return round(moment.timestamp() * 1000)
        return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds").replace(
            "+00:00", "Z"
        )
    if hasattr(value, "read"):
        value = value.read()
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "replace")
    return value
