"""The account's template: what it holds for which settings, and who may become which role."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import settings
from pipeline.errors import DefinitionError
from pipeline.render import access, account
from pipeline.render.pattern import DROP, Pattern

ROOT = Path(__file__).parents[3]
PROJECT = """
[project]
name = "ml"
{github}
[defaults]
region = "eu-west-1"
[environments.dev]
account = "111111111111"
[environments.staging]
account = "111111111111"
{staging}
[environments.production]
account = "333333333333"
promote_from = "staging"
{production}
"""
GITHUB = '[project.github]\nrepository = "acme/shop"\n{more}'
SETTINGS = """
container = "demo"
[data]
bucket = "lake"
[data.channels.train]
prefix = "train"
[data.channels.test]
prefix = "test"
use = "evaluate"
[[gate]]
metric = "accuracy"
minimum = 0.9
[smoke]
body = "1"
"""
# AWS's own words in capitals.
CONSTANTS = {
    *("LINUX_CONTAINER", "GREATER_THAN", "FORK_PULL_REQUESTS"),
    *("GITHUB_WRITE", "GITHUB_MAINTAIN", "GITHUB_ADMIN", "NO_ARTIFACTS"),
    *("PIPELINE_CI_ENVIRONMENT", "PIPELINE_TARGET"),
}
Resources = dict[str, dict[str, Any]]
Render = Callable[..., Resources]


@pytest.fixture
def rendered(tmp_path: Path) -> Render:
    """`rendered("staging", github="...", staging="...", name=...)`: the account's resources."""

    def render(
        environment: str = "staging", github: str | None = "", name: str = "demo", **more: str
    ) -> Resources:
        text = GITHUB.format(more=github) if github is not None else ""
        parts = {"staging": "", "production": "", **more}
        (tmp_path / "pipeline.toml").write_text(PROJECT.format(github=text, **parts))
        folder = tmp_path / "pipeline" / "definitions" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "settings.toml").write_text(SETTINGS)
        (tmp_path / "cloudformation").mkdir(exist_ok=True)
        file = Path("cloudformation") / "account.yaml"
        (tmp_path / file).write_text((ROOT / file).read_text())
        found: Resources = account(settings.load(tmp_path, name, environment))["Resources"]
        return found

    return render


def trust(resources: Resources, role: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = resources[role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    return found


def test_there_is_one_repository_a_container(rendered: Render, tmp_path: Path) -> None:
    for name in ("iris", "big_mart", "no_dockerfile"):
        (tmp_path / "container" / name).mkdir(parents=True)
    for name in ("iris", "big_mart"):
        (tmp_path / "container" / name / "Dockerfile").write_text("FROM x\n")
    made = rendered()
    names = {
        n: r["Properties"]["RepositoryName"] for n, r in made.items() if r["Type"] == "AWS::ECR::Repository"
    }
    assert names == {
        "BigMartRepository": {"Fn::Sub": "${Project}/big_mart"},
        "IrisRepository": {"Fn::Sub": "${Project}/iris"},
    }
    policy = made["ArtifactBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"][0]
    assert policy["Resource"][0] == {"Fn::GetAtt": ["ArtifactBucket", "Arn"]}
    assert policy["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_without_a_repository_on_github_nobody_is_let_in(rendered: Render) -> None:
    made = rendered(github=None)
    types = [resource["Type"] for resource in made.values()]
    assert not {"AWS::IAM::OIDCProvider", "AWS::CodeBuild::Project"} & set(types)
    roles = [name for name, resource in made.items() if resource["Type"] == "AWS::IAM::Role"]
    assert roles == ["StagingPromotionSourceRole"], "production reads what staging tested, whoever runs it"
    policies = {name for name, r in made.items() if r["Type"] == "AWS::IAM::ManagedPolicy"}
    boundaries = {"DevBoundary", "StagingBoundary"}
    assert policies == {*boundaries, "StagingReadPolicy", "StagingSourcePolicy"}
    production = rendered("production", github=None).values()
    assert not [r for r in production if r["Type"] == "AWS::IAM::Role"], "nobody promotes from there"


def test_an_account_holds_the_environments_that_live_in_it(rendered: Render) -> None:
    shared, own = rendered("staging"), rendered("production")
    assert {"DevDeployRole", "StagingDeployRole", "DevPlanRole", "OidcProvider"} <= shared.keys()
    assert not {name for name in shared if name.startswith("Production")}
    assert {"ProductionDeployRole", "OidcProvider"} <= own.keys()
    assert rendered("dev") == shared, "the same from whichever environment it is looked at"


def test_a_job_becomes_the_deploy_role_of_its_environment_alone(rendered: Render) -> None:
    (statement,) = trust(rendered(github="owner_id = 7\nrepository_id = 8"), "StagingDeployRole")
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Principal"] == {"Federated": {"Ref": "OidcProvider"}}
    assert statement["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": [
                "repo:acme/shop:environment:staging",
                "repo:acme@7/shop@8:environment:staging",
            ],
        }
    }


def test_a_pull_request_becomes_the_plan_role_alone(rendered: Render) -> None:
    (statement,) = trust(rendered(github='default_branch = "trunk"'), "StagingPlanRole")
    assert statement["Condition"]["StringLike"] == {
        "token.actions.githubusercontent.com:sub": [
            "repo:acme/shop:pull_request",
            "repo:acme/shop:ref:refs/heads/trunk",
            "repo:acme/shop:ref:refs/heads/gh-readonly-queue/trunk/*",
        ]
    }


def test_a_provider_that_is_there_is_named_and_not_made(rendered: Render) -> None:
    made = rendered(github='existing_oidc_provider = ["111111111111"]')
    assert "OidcProvider" not in made
    (statement,) = trust(made, "StagingDeployRole")
    arn = "arn:aws:iam::111111111111:oidc-provider/token.actions.githubusercontent.com"
    assert statement["Principal"] == {"Federated": arn}
    assert "OidcProvider" in rendered("production", github='existing_oidc_provider = ["111111111111"]')


def test_of_two_regions_of_an_account_the_first_makes_the_provider(rendered: Render) -> None:
    elsewhere = 'region = "eu-central-1"'
    assert "OidcProvider" in rendered("dev", staging=elsewhere)
    made = rendered("staging", staging=elsewhere)
    assert "OidcProvider" not in made and "StagingDeployRole" in made


def test_only_who_promotes_from_an_environment_reads_its_models(rendered: Render) -> None:
    made = rendered("staging")
    assert "DevPromotionSourceRole" not in made
    (statement,) = trust(made, "StagingPromotionSourceRole")
    assert statement["Principal"] == {"AWS": ["arn:aws:iam::333333333333:root"]}
    deploy, root = "arn:aws:iam::333333333333:role/ml-production-deploy", "arn:aws:iam::333333333333:root"
    assert statement["Condition"] == {"ArnEquals": {"aws:PrincipalArn": [deploy, root]}}

    def sources(resources: Resources, policy: str) -> list[Any]:
        found = resources[policy]["Properties"]["PolicyDocument"]["Statement"]
        return [s["Resource"] for s in found if s["Action"] == "sts:AssumeRole"]

    source = "arn:aws:iam::111111111111:role/ml-staging-promotion-source"
    assert sources(rendered("production"), "ProductionRunsPolicy") == [source]
    assert sources(made, "StagingRunsPolicy") == []


def test_a_budget_tells_of_what_carries_the_environments_tag(rendered: Render) -> None:
    made = rendered(staging='budget_usd_per_month = 50\nbudget_email = "a@b.c"\ntags.Environment = "stage"')
    assert "DevBudget" not in made
    budget = made["StagingBudget"]["Properties"]
    assert budget["Budget"]["BudgetLimit"] == {"Amount": 50.0, "Unit": "USD"}
    assert budget["Budget"]["CostFilters"] == {"TagKeyValue": ["user:Environment$stage"]}
    assert {s["Address"] for n in budget["NotificationsWithSubscribers"] for s in n["Subscribers"]} == {
        "a@b.c"
    }


def test_a_key_of_ones_own_is_used_through_s3_alone(rendered: Render) -> None:
    plain = rendered()["ArtifactBucket"]["Properties"]["BucketEncryption"]
    assert plain == {
        "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    }
    made = rendered("dev", staging='artifact_encryption = "kms"')
    (rule,) = made["ArtifactBucket"]["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["KMSMasterKeyID"] == {"Fn::GetAtt": ["ArtifactKey", "Arn"]}
    users = made["ArtifactKey"]["Properties"]["KeyPolicy"]["Statement"][1]["Condition"]["StringEquals"]
    assert users.keys() == {"kms:ViaService", "kms:CallerAccount"}


def test_codebuild_deploys_what_is_merged_or_released_and_plans_pull_requests(rendered: Render) -> None:
    assert "StagingDeployProject" not in rendered()
    connection = "arn:aws:codeconnections:eu-west-1:111111111111:connection/0a"
    more = f'codebuild = true\ncodebuild_connection = "{connection}"\ncodebuild_actors = [5, 6]'
    made = rendered(github=more)
    deploy, plan = made["StagingDeployProject"]["Properties"], made["StagingPullRequestProject"]["Properties"]
    assert deploy["Name"] == "ml-staging"
    assert deploy["ServiceRole"] == {"Fn::GetAtt": ["StagingDeployRole", "Arn"]}
    assert deploy["Source"]["Auth"] == {"Type": "CODECONNECTIONS", "Resource": connection}
    assert deploy["Triggers"]["FilterGroups"] == [
        [{"Type": "EVENT", "Pattern": "PUSH"}, {"Type": "HEAD_REF", "Pattern": "^refs/heads/main$"}]
    ]
    assert plan["ServiceRole"] == {"Fn::GetAtt": ["StagingPlanRole", "Arn"]}, "a pull request only plans"
    assert plan["Triggers"]["PullRequestBuildPolicy"]["RequiresCommentApproval"] == "FORK_PULL_REQUESTS"
    assert {"Type": "ACTOR_ACCOUNT_ID", "Pattern": "^(5|6)$"} in plan["Triggers"]["FilterGroups"][0]
    aside = rendered("dev", github="codebuild = true")["DevDeployProject"]["Properties"]
    assert "Triggers" not in aside, "a merge goes to where promotions begin, and nowhere else"
    release = rendered("production", github="codebuild = true")["ProductionDeployProject"]["Properties"]
    assert release["Triggers"]["FilterGroups"][0][1] == {"Type": "HEAD_REF", "Pattern": "^refs/tags/v"}
    assert "Auth" not in release["Source"]
    (_, builds) = trust(made, "StagingPlanRole")
    assert builds["Principal"] == {"Service": "codebuild.amazonaws.com"}
    assert builds["Condition"]["ArnEquals"]["aws:SourceArn"].endswith(":project/ml-staging-pull-request")


def test_roles_may_read_the_data_of_the_pipelines(rendered: Render) -> None:
    made = rendered()
    statements = made["StagingBoundary"]["Properties"]["PolicyDocument"]["Statement"]
    data = next(s for s in statements if s["Sid"] == "Data")
    assert data["Resource"] == ["arn:aws:s3:::lake", "arn:aws:s3:::lake/*"]
    assert "DATA_BUCKETS" not in json.dumps(made)


def test_roles_may_pull_a_built_in_algorithm_only_where_a_pipeline_has_one(
    rendered: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    def images(made: Resources) -> list[str]:
        statements = made["StagingBoundary"]["Properties"]["PolicyDocument"]["Statement"]
        shared = next(s for s in statements if s["Sid"] == "SharedResources")
        return [arn for arn in shared["Resource"] if ":ecr:" in arn]

    own = "arn:aws:ecr:eu-west-1:111111111111:repository/ml/*"
    assert images(rendered()) == [own]
    facts = '\n[algorithm]\nname = "xgboost"\n[hyperparameters]\nnum_round = 3\n'
    monkeypatch.setattr(f"{__name__}.SETTINGS", SETTINGS + facts)
    assert images(rendered()) == [own, "arn:aws:ecr:eu-west-1:*:repository/sagemaker-xgboost"]


def test_no_word_of_the_pattern_is_left(rendered: Render, tmp_path: Path) -> None:
    made = rendered(github="codebuild = true", staging='budget_usd_per_month = 5\nbudget_email = "a@b.c"')
    here = access.Account.of(settings.load(tmp_path, "demo", "staging"))
    words = {word for place in here.environments() for word in (*place.words(), *here.words())}
    source = (ROOT / "cloudformation" / "account.yaml").read_text()
    assert words >= set(re.findall(r"(?<=[:-] )[A-Z]{2,}_[A-Z_]+$", source, re.M)) - CONSTANTS
    left = re.findall(r"(?<![A-Z_:$])[A-Z]{2,}(?:_[A-Z]+)*(?![A-Za-z_:])", json.dumps(made))
    assert not words & set(left)


@pytest.mark.parametrize("name", ["a-dev-b", "dev-staging", "x-staging"])
def test_names_that_fit_two_environments_of_an_account_are_refused(rendered: Render, name: str) -> None:
    with pytest.raises(DefinitionError, match="would be taken for a resource of"):
        rendered(name=name)


def test_a_glue_job_counts_among_the_names(rendered: Render, tmp_path: Path) -> None:
    rendered()
    file = tmp_path / "pipeline" / "definitions" / "demo" / "settings.toml"
    channels = '[data.channels.raw]\nprefix = "raw"\nuse = "transform"\n'
    for name, refused in (("features", False), ("staging", True)):
        table = f'[transforms.{name}]\nscript = "a/b.py"\nreads = ["raw"]\n'
        file.write_text(SETTINGS + channels + table)
        loaded = settings.load(tmp_path, "demo", "staging")
        if refused:
            with pytest.raises(DefinitionError, match="'demo-dev-staging' of dev would be taken"):
                account(loaded)
        else:
            account(loaded)


def test_without_its_file_there_is_no_account(rendered: Render, tmp_path: Path) -> None:
    rendered()
    (tmp_path / "cloudformation" / "account.yaml").unlink()
    with pytest.raises(DefinitionError, match="template is missing"):
        account(settings.load(tmp_path, "demo", "staging"))


def test_three_environments_in_one_account_fit_into_the_policies_that_iam_takes(rendered: Render) -> None:
    made = rendered(production="").values()
    for resource in made:
        if resource["Type"] == "AWS::IAM::ManagedPolicy":
            document = json.dumps(resource["Properties"]["PolicyDocument"], separators=(",", ":"))
            # IAM counts a managed policy's characters without white space.
            assert len(document.replace(" ", "")) <= 6144, resource["Properties"]["ManagedPolicyName"]


# --- the pattern itself


def test_a_pattern_is_copied_with_its_references_and_its_words() -> None:
    pattern = Pattern(
        {
            "Shared": {"Type": "T"},
            "Own": {
                "Name": {"Fn::Sub": "${Project}-WORD-x"},
                "Of": [{"Ref": "Own"}, {"Ref": "Shared"}, {"Fn::GetAtt": ["Own", "Arn"]}],
                "Text": {"Fn::Sub": "${Own.Arn}/${AWS::Region}/${Shared}"},
                "List": ["a", "MANY", "NONE"],
                "Gone": "NONE",
                "Deep": {"Only": "NONE"},
                "Number": "COUNT",
                "Statement": [
                    {"Effect": "Allow", "Resource": "NONE"},
                    {"Effect": "Allow", "Resource": "MANY"},
                ],
                "WORDY": "A_WORD AWORD WORD",
            },
        },
        frozenset({"Own"}),
    )
    words = {"WORD": "dev", "MANY": ["b", "c"], "NONE": DROP, "COUNT": 3, "${AWS::Region}": "r"}
    assert pattern.made(["Own"], "Dev", words) == {
        "DevOwn": {
            "Name": {"Fn::Sub": "${Project}-dev-x"},
            "Of": [{"Ref": "DevOwn"}, {"Ref": "Shared"}, {"Fn::GetAtt": ["DevOwn", "Arn"]}],
            "Text": {"Fn::Sub": "${DevOwn.Arn}/r/${Shared}"},
            "List": ["a", "b", "c"],
            "Number": 3,
            "Statement": [{"Effect": "Allow", "Resource": ["b", "c"]}],
            "WORDY": "A_WORD AWORD dev",
        }
    }
