"""What whoever changes a stack must be allowed, by type of resource: CloudFormation acts in their name.

Each type's schema in CloudFormation's registry names the actions of its handlers (`handlers.*.permissions`);
here is which of them a change really takes, and on which resource.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Props = dict[str, Any]


@dataclass(frozen=True)
class Need:
    """One action on one resource, with the condition keys that go with it (lower case)."""

    action: str
    resource: str = "*"
    context: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """One resource's change. `old` and `new` are its resolved properties: {} before it is, and after."""

    account: str
    region: str
    stack: str
    logical_id: str
    physical_id: str
    old: Props
    new: Props

    def arn(self, service: str, resource: str, *, region: str | None = None) -> str:
        return f"arn:aws:{service}:{self.region if region is None else region}:{self.account}:{resource}"

    @property
    def props(self) -> Props:
        return self.new or self.old

    @property
    def creates(self) -> bool:
        return not self.old

    @property
    def deletes(self) -> bool:
        return not self.new

    def named(self, key: str) -> str:
        """The name the resource has, will have, or something like it where CloudFormation makes one up."""
        return str(self.physical_id or self.props.get(key) or f"{self.stack}-{self.logical_id}-000000000000")

    def differs(self, *keys: str) -> bool:
        return any(self.old.get(key) != self.new.get(key) for key in keys)


Rule = Callable[[Change], Iterator[Need]]


def needs(resource_type: str, change: Change) -> list[Need] | None:
    """All that a change takes; None for a type of which it is not known."""
    rule = _RULES.get(resource_type)
    return list(rule(change)) if rule else None


def _tagged(
    change: Change, service: str, arn: str, tag: str = "TagResource", untag: str = ""
) -> Iterator[Need]:
    if not change.deletes and change.new.get("Tags") and (change.creates or change.differs("Tags")):
        yield Need(f"{service}:{tag}", arn)
    if not change.creates and not change.deletes and not change.new.get("Tags") and change.old.get("Tags"):
        yield Need(f"{service}:{untag or 'Untag' + tag.removeprefix('Tag')}", arn)


def _passes(role: Any, service: str) -> Iterator[Need]:
    if role:
        yield Need("iam:PassRole", str(role), {"iam:passedtoservice": f"{service}.amazonaws.com"})


def _role(change: Change) -> Iterator[Need]:
    arn = change.arn("iam", f"role{change.props.get('Path', '/')}{change.named('RoleName')}", region="")
    boundary = {"iam:permissionsboundary": change.new.get("PermissionsBoundary")}
    attached = {"iam:permissionsboundary": change.props.get("PermissionsBoundary")}
    yield Need("iam:GetRole", arn)
    before, after = _documents(change.old), _documents(change.new)
    managed = set(change.old.get("ManagedPolicyArns") or []), set(change.new.get("ManagedPolicyArns") or [])
    if change.creates:
        yield Need("iam:CreateRole", arn, boundary)
    if not change.creates and not change.deletes:
        if change.differs("AssumeRolePolicyDocument"):
            yield Need("iam:UpdateAssumeRolePolicy", arn, attached)
        if change.differs("Description", "MaxSessionDuration"):
            yield Need("iam:UpdateRole", arn, attached)
        if change.differs("PermissionsBoundary"):
            given = boundary["iam:permissionsboundary"]
            action = "PutRolePermissionsBoundary" if given else "DeleteRolePermissionsBoundary"
            yield Need(f"iam:{action}", arn, boundary)
    if any(before.get(name) != document for name, document in after.items()):
        yield Need("iam:PutRolePolicy", arn, attached)
    if before.keys() - after.keys():
        yield Need("iam:DeleteRolePolicy", arn, attached)
    for policy in sorted(managed[1] - managed[0]):
        yield Need("iam:AttachRolePolicy", arn, {**attached, "iam:policyarn": policy})
    for policy in sorted(managed[0] - managed[1]):
        yield Need("iam:DetachRolePolicy", arn, {**attached, "iam:policyarn": policy})
    yield from _tagged(change, "iam", arn, "TagRole")
    if change.deletes:
        yield Need("iam:DeleteRole", arn, attached)


def _documents(props: Props) -> dict[str, Any]:
    return {
        policy.get("PolicyName", ""): policy.get("PolicyDocument") for policy in props.get("Policies") or []
    }


def _managed_policy(change: Change) -> Iterator[Need]:
    name = change.physical_id.rpartition("/")[2] or change.named("ManagedPolicyName")
    arn = change.arn("iam", f"policy{change.props.get('Path', '/')}{name}", region="")
    yield from _one_of(change, arn, "iam:CreatePolicy", "iam:CreatePolicyVersion", "iam:DeletePolicy")


def _inline_policy(change: Change) -> Iterator[Need]:
    for name in change.props.get("Roles") or []:
        arn = change.arn("iam", f"role/{name}", region="")
        yield Need("iam:DeleteRolePolicy" if change.deletes else "iam:PutRolePolicy", arn)


def _provider(change: Change) -> Iterator[Need]:
    host = str(change.props.get("Url", "")).removeprefix("https://")
    arn = change.arn("iam", f"oidc-provider/{host}", region="")
    update = "iam:AddClientIDToOpenIDConnectProvider"
    yield from _one_of(
        change, arn, "iam:CreateOpenIDConnectProvider", update, "iam:DeleteOpenIDConnectProvider"
    )


def _function(change: Change) -> Iterator[Need]:
    arn = change.arn("lambda", f"function:{change.named('FunctionName')}")
    code = change.new.get("Code") or {}
    if change.creates:
        yield Need("lambda:CreateFunction", arn)
    elif change.deletes:
        yield Need("lambda:DeleteFunction", arn)
    else:
        if change.differs("Code"):
            yield Need("lambda:UpdateFunctionCode", arn)
        others = {key for key in {*change.old, *change.new} - {"Code", "Tags"} if change.differs(key)}
        if others:
            yield Need("lambda:UpdateFunctionConfiguration", arn)
    if not change.deletes:
        yield Need("lambda:GetFunction", arn)
        if change.differs("Role"):
            yield from _passes(change.new.get("Role"), "lambda")
        if change.differs("Code") and code.get("S3Bucket"):
            yield Need("s3:GetObject", f"arn:aws:s3:::{code['S3Bucket']}/{code.get('S3Key', '')}")
    yield from _tagged(change, "lambda", arn)


def _state_machine(change: Change) -> Iterator[Need]:
    name = str(change.props.get("StateMachineName") or f"{change.stack}-{change.logical_id}")
    arn = change.arn("states", f"stateMachine:{name}")
    yield from _one_of(
        change, arn, "states:CreateStateMachine", "states:UpdateStateMachine", "states:DeleteStateMachine"
    )
    if not change.deletes:
        yield Need("states:DescribeStateMachine", arn)
        if change.differs("RoleArn"):
            yield from _passes(change.new.get("RoleArn"), "states")
    yield from _tagged(change, "states", arn)


def _log_group(change: Change) -> Iterator[Need]:
    arn = change.arn("logs", f"log-group:{change.named('LogGroupName')}")
    # As IAM weighs them: what is done to a group on its streams, tagging on the group itself.
    streams = f"{arn}:log-stream:"
    if change.creates:
        yield Need("logs:CreateLogGroup", streams)
    if change.deletes:
        yield Need("logs:DeleteLogGroup", streams)
    elif change.differs("RetentionInDays"):
        kept = change.new.get("RetentionInDays")
        yield Need("logs:PutRetentionPolicy" if kept else "logs:DeleteRetentionPolicy", streams)
    yield from _tagged(change, "logs", arn)


def _metric_filter(change: Change) -> Iterator[Need]:
    arn = change.arn("logs", f"log-group:{change.props.get('LogGroupName')}:log-stream:")
    yield from _one_of(change, arn, "logs:PutMetricFilter", "logs:PutMetricFilter", "logs:DeleteMetricFilter")


def _topic(change: Change) -> Iterator[Need]:
    name = change.physical_id.rpartition(":")[2] or change.named("TopicName")
    arn = change.arn("sns", name)
    yield from _one_of(change, arn, "sns:CreateTopic", "sns:SetTopicAttributes", "sns:DeleteTopic")
    if not change.deletes:
        yield Need("sns:GetTopicAttributes", arn)
    yield from _tagged(change, "sns", arn)


def _topic_policy(change: Change) -> Iterator[Need]:
    for topic in change.props.get("Topics") or []:
        yield Need("sns:SetTopicAttributes", str(topic))


def _subscription(change: Change) -> Iterator[Need]:
    if change.deletes:
        yield Need("sns:Unsubscribe")
    else:
        yield Need("sns:Subscribe", str(change.new.get("TopicArn")))


def _parameter(change: Change) -> Iterator[Need]:
    arn = change.arn("ssm", f"parameter/{change.named('Name').removeprefix('/')}")
    yield from _one_of(change, arn, "ssm:PutParameter", "ssm:PutParameter", "ssm:DeleteParameter")
    yield from _tagged(change, "ssm", arn, "AddTagsToResource", "RemoveTagsFromResource")


def _schedule(change: Change) -> Iterator[Need]:
    group = change.props.get("GroupName") or "default"
    arn = change.arn("scheduler", f"schedule/{group}/{change.named('Name')}")
    yield from _one_of(
        change, arn, "scheduler:CreateSchedule", "scheduler:UpdateSchedule", "scheduler:DeleteSchedule"
    )
    if not change.deletes:
        yield from _passes((change.new.get("Target") or {}).get("RoleArn"), "scheduler")


def _alarm(change: Change) -> Iterator[Need]:
    arn = change.arn("cloudwatch", f"alarm:{change.named('AlarmName')}")
    yield from _one_of(
        change, arn, "cloudwatch:PutMetricAlarm", "cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms"
    )
    yield from _tagged(change, "cloudwatch", arn)


def _package_group(change: Change) -> Iterator[Need]:
    name = str(change.props.get("ModelPackageGroupName", "")).lower()
    arn = change.arn("sagemaker", f"model-package-group/{name}")
    create, delete = "sagemaker:CreateModelPackageGroup", "sagemaker:DeleteModelPackageGroup"
    yield from _one_of(change, arn, create, "sagemaker:DescribeModelPackageGroup", delete)
    yield from _tagged(change, "sagemaker", arn, "AddTags", "DeleteTags")


def _glue_job(change: Change) -> Iterator[Need]:
    arn = change.arn("glue", f"job/{change.named('Name')}")
    yield from _one_of(change, arn, "glue:CreateJob", "glue:UpdateJob", "glue:DeleteJob")
    if change.creates or change.deletes:
        yield Need("glue:GetJob", arn)
    if not change.deletes:
        # UpdateJob overwrites all of a job, its role too.
        role = str(change.new.get("Role", ""))
        known = role if role.startswith("arn:") else change.arn("iam", f"role/{role}", region="")
        yield from _passes(known, "glue")
    yield from _tagged(change, "glue", arn)


def _repository(change: Change) -> Iterator[Need]:
    arn = change.arn("ecr", f"repository/{change.named('RepositoryName')}")
    if change.creates:
        yield Need("ecr:CreateRepository", arn)
    if change.deletes:
        yield Need("ecr:DeleteRepository", arn)
        return
    for keys, action in (
        ("LifecyclePolicy", "PutLifecyclePolicy"),
        ("RepositoryPolicyText", "SetRepositoryPolicy"),
    ):
        if change.new.get(keys) and change.differs(keys):
            yield Need(f"ecr:{action}", arn)
    if not change.creates:
        if change.differs("ImageScanningConfiguration"):
            yield Need("ecr:PutImageScanningConfiguration", arn)
        if change.differs("ImageTagMutability"):
            yield Need("ecr:PutImageTagMutability", arn)
    yield from _tagged(change, "ecr", arn)


_BUCKET = {
    "BucketEncryption": "PutEncryptionConfiguration",
    "LifecycleConfiguration": "PutLifecycleConfiguration",
    "OwnershipControls": "PutBucketOwnershipControls",
    "PublicAccessBlockConfiguration": "PutBucketPublicAccessBlock",
    "Tags": "PutBucketTagging",
    "VersioningConfiguration": "PutBucketVersioning",
}


def _bucket(change: Change) -> Iterator[Need]:
    arn = f"arn:aws:s3:::{change.named('BucketName')}"
    if change.deletes:
        yield Need("s3:DeleteBucket", arn)
        return
    if change.creates:
        yield Need("s3:CreateBucket", arn)
    for key, action in _BUCKET.items():
        if change.differs(key):
            yield Need(f"s3:{action}", arn)


def _bucket_policy(change: Change) -> Iterator[Need]:
    arn = f"arn:aws:s3:::{change.props.get('Bucket')}"
    yield Need("s3:DeleteBucketPolicy" if change.deletes else "s3:PutBucketPolicy", arn)


def _key(change: Change) -> Iterator[Need]:
    arn = change.arn("kms", f"key/{change.physical_id}") if change.physical_id else "*"
    yield from _one_of(change, arn, "kms:CreateKey", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion")


def _key_alias(change: Change) -> Iterator[Need]:
    arn = change.arn("kms", str(change.props.get("AliasName")))
    yield from _one_of(change, arn, "kms:CreateAlias", "kms:UpdateAlias", "kms:DeleteAlias")


def _budget(change: Change) -> Iterator[Need]:
    yield Need(
        "budgets:ModifyBudget", change.arn("budgets", f"budget/{change.physical_id or '*'}", region="")
    )


def _project(change: Change) -> Iterator[Need]:
    arn = change.arn("codebuild", f"project/{change.named('Name')}")
    yield from _one_of(
        change, arn, "codebuild:CreateProject", "codebuild:UpdateProject", "codebuild:DeleteProject"
    )
    if not change.deletes:
        yield from _passes(change.new.get("ServiceRole"), "codebuild")
        if change.differs("Triggers"):
            yield Need("codebuild:CreateWebhook" if change.creates else "codebuild:UpdateWebhook", arn)


def _one_of(change: Change, arn: str, create: str, update: str, delete: str) -> Iterator[Need]:
    yield Need(create if change.creates else delete if change.deletes else update, arn)


_RULES: dict[str, Rule] = {
    "AWS::Budgets::Budget": _budget,
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::CodeBuild::Project": _project,
    "AWS::ECR::Repository": _repository,
    "AWS::Glue::Job": _glue_job,
    "AWS::IAM::ManagedPolicy": _managed_policy,
    "AWS::IAM::OIDCProvider": _provider,
    "AWS::IAM::Policy": _inline_policy,
    "AWS::IAM::Role": _role,
    "AWS::KMS::Alias": _key_alias,
    "AWS::KMS::Key": _key,
    "AWS::Lambda::Function": _function,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::Logs::MetricFilter": _metric_filter,
    "AWS::S3::Bucket": _bucket,
    "AWS::S3::BucketPolicy": _bucket_policy,
    "AWS::SNS::Subscription": _subscription,
    "AWS::SNS::Topic": _topic,
    "AWS::SNS::TopicPolicy": _topic_policy,
    "AWS::SSM::Parameter": _parameter,
    "AWS::SageMaker::ModelPackageGroup": _package_group,
    "AWS::Scheduler::Schedule": _schedule,
    "AWS::StepFunctions::StateMachine": _state_machine,
}
