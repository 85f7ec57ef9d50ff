"""The roles of an account, taken by tokens and enforced: who may plan, deploy, promote; and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from pipeline.local import ensure_up
from pipeline.local.oidc import Endpoint, Job, Key
from pipeline.local.paths import StatePaths
from tests.conftest import Cli

REGION = "eu-west-1"
STAGING, PRODUCTION = "222222222222", "333333333333"
BUCKET = f"ml-{STAGING}-{REGION}"
GITHUB = '\n[project.github]\nrepository = "acme/shop"\nowner_id = 7\nrepository_id = 8\n'


@dataclass
class Access:
    """The set-up account: command lines and clients of whoever a job becomes."""

    cli: Cli
    tokens: Endpoint
    url: str

    def job(self, environment: str, purpose: str) -> Job:
        """The job that takes that role: a pull request's to plan, one of the environment to deploy."""
        plans = purpose == "plan"
        return Job(
            "acme/shop",
            "refs/pull/1/merge" if plans else "refs/heads/main",
            "a" * 40,
            "pull_request" if plans else "push",
            environment="" if plans else environment,
            owner_id=7,
            repository_id=8,
            immutable=True,
        )

    def role(self, environment: str, purpose: str) -> str:
        account = {"staging": STAGING, "production": PRODUCTION}[environment]
        return f"arn:aws:iam::{account}:role/ml-{environment}-{purpose}"

    def as_role(self, environment: str, purpose: str) -> Cli:
        """The command line in a job with that role's token, as a workflow runs it."""
        variables = {
            **self.tokens.grant(self.job(environment, purpose)),
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ROLE_ARN": self.role(environment, purpose),
            "PIPELINE_TARGET": "aws",
        }
        return Cli(self.cli.root, variables)

    def client(self, service: str, environment: str = "staging", purpose: str = "deploy") -> Any:
        return self.using(service, self.session(environment, purpose))

    def session(self, environment: str, purpose: str) -> dict[str, str]:
        bearer = self.tokens.grants.grant(self.job(environment, purpose))
        target = "/_apis/id-token?audience=sts.amazonaws.com"
        token = self.tokens.grants.answer("GET", target, f"bearer {bearer}")[1]["value"]
        sts = boto3.client(
            "sts", endpoint_url=self.url, region_name=REGION, config=Config(signature_version=UNSIGNED)
        )
        answer: dict[str, str] = sts.assume_role_with_web_identity(
            RoleArn=self.role(environment, purpose), RoleSessionName="job", WebIdentityToken=token
        )["Credentials"]
        return answer

    def using(self, service: str, credentials: dict[str, str]) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials.get("SessionToken"),
            config=Config(retries={"total_max_attempts": 1}),
        )

    def root(self, service: str, account: str = STAGING) -> Any:
        return self.using(service, {"AccessKeyId": account, "SecretAccessKey": "any"})


@pytest.fixture(scope="module")
def access(cli: Cli) -> Iterator[Access]:
    """Both accounts set up by an administrator; no pipeline stands yet."""
    file = cli.root / "pipeline.toml"
    file.write_text(re.sub(r"(?m)^default_environment.*$", r"\g<0>" + GITHUB, file.read_text(), count=1))
    for environment in ("staging", "production"):
        said = json.loads(cli("account", "up", "-e", environment, "--yes", "--json").stdout)
        assert said["changed"] and said["github"]["repository"] == "acme/shop"
    target = ensure_up(cli.root)
    with Endpoint(Key.at(StatePaths.of(cli.root).oidc_key)) as tokens:
        yield Access(cli, tokens, target.endpoint_url)


def denied(call: Callable[..., Any], **request: Any) -> None:
    with pytest.raises(ClientError) as raised:
        call(**request)
    assert raised.value.response["Error"]["Code"] in {"AccessDenied", "AccessDeniedException"}, raised.value


def test_plan_deploy_run_and_take_down_under_the_roles_alone(access: Access) -> None:
    plan, deploy = access.as_role("staging", "plan"), access.as_role("staging", "deploy")
    plan("plan", "iris", "-e", "staging", "--detailed-exitcode", code=10)
    refused = plan("apply", "iris", "-e", "staging", "--yes", code=None)
    assert refused.returncode in (3, 4)
    assert "is not authorized to perform" in refused.stderr

    deploy("apply", "iris", "-e", "staging", "--yes")
    access.cli("data", "iris", "put", "-e", "staging", "--date", "2026-11-20")
    assert "SUCCEEDED" in deploy("run", "iris", "-e", "staging", "--date", "2026-11-21").stderr
    plan("plan", "iris", "-e", "staging", "--detailed-exitcode")
    assert "InService" in plan("status", "iris", "-e", "staging").stdout
    plan("drift", "iris", "-e", "staging")
    # Its commit is broken, for there is no repository here; the model itself is the deploy role's to read.
    assert re.search("ok +artifact", deploy("trace", "iris", "-e", "staging", code=1).stdout)

    function = access.client("lambda", purpose="plan")
    denied(function.update_function_configuration, FunctionName="iris-staging-gate", Timeout=3)
    denied(function.get_function, FunctionName="iris-staging-gate")
    model = access.client("s3", purpose="plan")
    listed = model.list_objects_v2(Bucket=BUCKET, Prefix="output-model/")["Contents"]
    for key in (listed[0]["Key"], "input-data-test/2026-11-20/iris.csv"):
        denied(model.get_object, Bucket=BUCKET, Key=key)
    denied(access.client("sagemaker-runtime").invoke_endpoint, EndpointName="iris-staging", Body=b"1")

    said = json.loads(deploy("down", "iris", "-e", "staging", "--yes", "--json").stdout)
    assert "stack iris-staging" in said["removed"]
    assert not [left for left in said["left"] if "authorized" in left], said["left"]


def test_the_deploy_role_leaves_roles_to_an_administrator(access: Access) -> None:
    file = access.cli.root / "pipeline.toml"
    before = file.read_text()
    try:
        file.write_text(before.replace("owner_id = 7", "owner_id = 9"))
        refused = access.as_role("staging", "deploy")("apply", "iris", "-e", "staging", "--yes", code=4)
    finally:
        file.write_text(before)
    assert "ml-staging-plan" in refused.stderr
    assert "hint: roles, keys and the bucket are an administrator's to change" in refused.stderr
    assert "pipeline account up --environment staging" in refused.stderr
    access.cli("account", "status", "-e", "staging")


def test_the_deploy_role_makes_no_role_mightier_than_the_boundary(access: Access) -> None:
    iam = access.client("iam")
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
    boundary = f"arn:aws:iam::{STAGING}:policy/ml-staging-boundary"
    wanted: dict[str, Any] = {"RoleName": "made", "AssumeRolePolicyDocument": json.dumps(trust)}
    everything = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    }
    denied(iam.create_role, **wanted, Path="/ml/staging/")
    denied(iam.create_role, **wanted, Path="/", PermissionsBoundary=boundary)
    denied(iam.create_role, **wanted, Path="/ml/production/", PermissionsBoundary=boundary)
    iam.create_role(**wanted, Path="/ml/staging/", PermissionsBoundary=boundary)
    iam.put_role_policy(RoleName="made", PolicyName="all", PolicyDocument=json.dumps(everything))
    denied(iam.delete_role_permissions_boundary, RoleName="made")
    denied(iam.attach_role_policy, RoleName="made", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")

    # What it may do with all rights is what the boundary lets through.
    access.root("iam").update_assume_role_policy(
        RoleName="made",
        PolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Principal": {"AWS": STAGING}, "Action": "sts:AssumeRole"}],
            }
        ),
    )
    session = access.root("sts").assume_role(
        RoleArn=f"arn:aws:iam::{STAGING}:role/ml/staging/made", RoleSessionName="me"
    )["Credentials"]
    access.using("sagemaker", session).list_models()
    denied(access.using("iam", session).list_roles)
    denied(access.using("ssm", session).get_parameter, Name="/ml/iris-production/watermark")
    denied(iam.delete_role_policy, RoleName="ml-staging-deploy", PolicyName="builds")
    iam.delete_role_policy(RoleName="made", PolicyName="all")
    iam.delete_role(RoleName="made")


def simulated(access: Access, role: str, context: dict[str, str], rows: list[str]) -> dict[str, str]:
    """Decision by row (`action resource`, ACCOUNT filled in)."""
    entries = [
        {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
        for key, value in context.items()
    ]
    found = {}
    for row in rows:
        action, _, resource = row.partition(" ")
        resource = resource.replace("ACCOUNT", STAGING).replace("REGION", REGION) or "*"
        answer = access.root("iam").simulate_principal_policy(
            PolicySourceArn=role, ActionNames=[action], ResourceArns=[resource], ContextEntries=entries
        )
        found[row] = answer["EvaluationResults"][0]["EvalDecision"]
    return found


WRITES = [
    "cloudformation:ExecuteChangeSet arn:aws:cloudformation:REGION:ACCOUNT:stack/iris-staging/1",
    "states:StartExecution arn:aws:states:REGION:ACCOUNT:stateMachine:iris-staging",
    "s3:PutObject arn:aws:s3:::ml-ACCOUNT-REGION/code/1.zip",
    "ecr:PutImage arn:aws:ecr:REGION:ACCOUNT:repository/ml/iris",
    "sagemaker:DeleteEndpoint arn:aws:sagemaker:REGION:ACCOUNT:endpoint/iris-staging",
    "lambda:UpdateFunctionCode arn:aws:lambda:REGION:ACCOUNT:function:iris-staging-gate",
]
SECRETS_AND_DATA = [
    "secretsmanager:GetSecretValue arn:aws:secretsmanager:REGION:ACCOUNT:secret:ml/slack-webhook-abcdef",
    "s3:GetObject arn:aws:s3:::ml-ACCOUNT-REGION/input-data-training/2026-11-20/iris.csv",
    "s3:PutObject arn:aws:s3:::ml-ACCOUNT-REGION/input-data-training/2026-11-20/iris.csv",
    "sagemaker:InvokeEndpoint arn:aws:sagemaker:REGION:ACCOUNT:endpoint/iris-staging",
]
OTHERS = [
    "lambda:UpdateFunctionCode arn:aws:lambda:REGION:ACCOUNT:function:iris-production-gate",
    "cloudformation:ExecuteChangeSet arn:aws:cloudformation:REGION:ACCOUNT:stack/iris-production/1",
    "sagemaker:DeleteEndpoint arn:aws:sagemaker:REGION:ACCOUNT:endpoint/iris-production",
    "states:StartExecution arn:aws:states:REGION:ACCOUNT:stateMachine:iris-production",
    "ssm:PutParameter arn:aws:ssm:REGION:ACCOUNT:parameter/ml/iris-production/watermark",
    "s3:PutObject arn:aws:s3:::ml-ACCOUNT-REGION/iris-production/runs/1/evaluation.json",
    "iam:PutRolePolicy arn:aws:iam::ACCOUNT:role/ml/production/iris-production-TrainingRole",
    "iam:PassRole arn:aws:iam::ACCOUNT:role/ml/production/iris-production-TrainingRole",
    "sts:AssumeRole arn:aws:iam::333333333333:role/ml-production-deploy",
]
POWERS = [
    "iam:CreateUser arn:aws:iam::ACCOUNT:user/x",
    "iam:CreatePolicyVersion arn:aws:iam::ACCOUNT:policy/ml-staging-boundary",
    "iam:PutRolePolicy arn:aws:iam::ACCOUNT:role/ml-staging-deploy",
    "iam:UpdateAssumeRolePolicy arn:aws:iam::ACCOUNT:role/ml-staging-deploy",
    "iam:AttachRolePolicy arn:aws:iam::ACCOUNT:role/ml/staging/iris-staging-TrainingRole",
    "iam:DeleteRolePermissionsBoundary arn:aws:iam::ACCOUNT:role/ml/staging/iris-staging-TrainingRole",
    "iam:CreateOpenIDConnectProvider arn:aws:iam::ACCOUNT:oidc-provider/evil.example",
    "kms:ScheduleKeyDeletion arn:aws:kms:REGION:ACCOUNT:key/1",
    "s3:DeleteBucket arn:aws:s3:::ml-ACCOUNT-REGION",
    "s3:PutBucketPolicy arn:aws:s3:::ml-ACCOUNT-REGION",
    "codebuild:UpdateProject arn:aws:codebuild:REGION:ACCOUNT:project/ml-staging",
]
READS = [
    "cloudformation:GetTemplate arn:aws:cloudformation:REGION:ACCOUNT:stack/iris-staging/1",
    "cloudformation:DescribeStacks arn:aws:cloudformation:REGION:ACCOUNT:stack/ml-account/1",
    "ecr:DescribeImages arn:aws:ecr:REGION:ACCOUNT:repository/ml/iris",
    "s3:ListBucket arn:aws:s3:::ml-ACCOUNT-REGION",
    "ssm:GetParameter arn:aws:ssm:REGION:ACCOUNT:parameter/ml/iris-staging/watermark",
    "sagemaker:DescribeEndpoint arn:aws:sagemaker:REGION:ACCOUNT:endpoint/iris-staging",
]


def test_what_the_plan_role_may_and_may_not(access: Access) -> None:
    role = access.role("staging", "plan")
    assert set(simulated(access, role, {}, READS).values()) == {"allowed"}
    approving = "states:SendTaskSuccess"
    refused = simulated(access, role, {}, [approving, *WRITES, *SECRETS_AND_DATA, *OTHERS, *POWERS])
    assert {row for row, decision in refused.items() if decision == "allowed"} == set()


def test_what_the_deploy_role_may_and_may_not(access: Access) -> None:
    role = access.role("staging", "deploy")
    context = {"iam:PassedToService": "lambda.amazonaws.com"}
    allowed = simulated(access, role, context, [*READS, *WRITES])
    assert {row for row, decision in allowed.items() if decision != "allowed"} == set()
    refused = simulated(access, role, context, [*SECRETS_AND_DATA, *OTHERS, *POWERS])
    assert {row for row, decision in refused.items() if decision == "allowed"} == set()
    make = ["iam:CreateRole arn:aws:iam::ACCOUNT:role/ml/staging/iris-staging-TrainingRole"]
    boundary = f"arn:aws:iam::{STAGING}:policy/ml-staging-boundary"
    for given, decision in (
        ({}, "implicitDeny"),
        ({"iam:PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"}, "implicitDeny"),
        ({"iam:PermissionsBoundary": boundary}, "allowed"),
    ):
        assert set(simulated(access, role, given, make).values()) == {decision}, given
    passes = ["iam:PassRole arn:aws:iam::ACCOUNT:role/ml/staging/iris-staging-TrainingRole"]
    ec2 = {"iam:PassedToService": "ec2.amazonaws.com"}
    assert set(simulated(access, role, ec2, passes).values()) == {"implicitDeny"}
    in_anothers_name = [
        "cloudformation:CreateChangeSet arn:aws:cloudformation:REGION:ACCOUNT:stack/iris-staging/1"
    ]
    admin = {"cloudformation:RoleArn": f"arn:aws:iam::{STAGING}:role/admin"}
    assert set(simulated(access, role, admin, in_anothers_name).values()) == {"implicitDeny"}


def test_a_job_of_another_environment_or_a_pull_request_gets_no_deploy_role(access: Access) -> None:
    sts = boto3.client(
        "sts", endpoint_url=access.url, region_name=REGION, config=Config(signature_version=UNSIGNED)
    )
    for environment, purpose in (("production", "deploy"), ("staging", "plan")):
        bearer = access.tokens.grants.grant(access.job(environment, purpose))
        target = "/_apis/id-token?audience=sts.amazonaws.com"
        token = access.tokens.grants.answer("GET", target, f"bearer {bearer}")[1]["value"]
        denied(
            sts.assume_role_with_web_identity,
            RoleArn=access.role("staging", "deploy"),
            RoleSessionName="job",
            WebIdentityToken=token,
        )


def test_only_productions_deploy_role_reads_what_staging_tested(access: Access) -> None:
    source = access.role("staging", "promotion-source")
    model = "output-model/iris-staging-20261120-0a1b2c3d-0/output/model.tar.gz"
    access.root("s3").put_object(Bucket=BUCKET, Key=model, Body=b"model")
    session = access.client("sts", "production").assume_role(RoleArn=source, RoleSessionName="promote")
    s3 = access.using("s3", session["Credentials"])
    assert s3.get_object(Bucket=BUCKET, Key=model)["Body"].read() == b"model"
    denied(s3.put_object, Bucket=BUCKET, Key=model, Body=b"other")
    denied(s3.get_object, Bucket=BUCKET, Key="input-data-test/2026-11-20/iris.csv")
    access.using("ecr", session["Credentials"]).get_authorization_token()
    for environment, purpose in (("staging", "deploy"), ("production", "plan")):
        denied(
            access.client("sts", environment, purpose).assume_role, RoleArn=source, RoleSessionName="promote"
        )


def test_an_account_of_many_environments_is_set_up_and_taken_down(access: Access) -> None:
    """Its template is larger than a request takes, and at first there is no bucket to put it in."""
    file = access.cli.root / "pipeline.toml"
    before = file.read_text()
    many = "".join(
        f'[environments.{name}]\naccount = "555555555555"\n' for name in ("ant", "bee", "cat", "dog")
    )
    try:
        file.write_text(before + many)
        said = access.cli("account", "up", "-e", "ant", "--yes").stderr
        assert "its bucket first" in said
        assert (
            json.loads(access.cli("account", "status", "-e", "dog", "--json").stdout)["operation"] == "none"
        )
        down = json.loads(access.cli("account", "down", "-e", "cat", "--yes", "--json").stdout)
    finally:
        file.write_text(before)
    assert down["removed"] == ["stack ml-account"]
    assert any(left.startswith(f"S3::Bucket ml-555555555555-{REGION}") for left in down["left"])
