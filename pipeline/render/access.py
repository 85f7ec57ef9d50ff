"""Who is in an account and may become whom: the words that account.yaml leaves to the settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import algorithms
from pipeline import settings as store
from pipeline.errors import DefinitionError, PipelineError
from pipeline.functions import FUNCTIONS
from pipeline.names import Names
from pipeline.render.pattern import DROP

if TYPE_CHECKING:
    from pipeline.settings.model import Environment, GitHub, Project, Settings

# What names of our resources end with after the environment's, besides the functions'.
SUFFIXES = ("alarms", "account", "build", *(folder.replace("_", "-") for folder in FUNCTIONS))
# https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository: the branches
# that a merge queue makes.
QUEUE = "gh-readonly-queue"


@dataclass(frozen=True)
class Account:
    """One account in one region.

    Args:
        here: the environments that live in it, in pipeline.toml's order.
        everywhere: all environments of the project.
        makes_provider: GitHub's OIDC provider is this stack's: an account has one, whatever its regions.
    """

    root: Path
    project: Project
    names: Names
    here: dict[str, Environment]
    everywhere: dict[str, Environment]
    makes_provider: bool

    @classmethod
    def of(cls, settings: Settings) -> Account:
        """The account and region of `settings`."""
        root, names = Path(settings.root), Names.of(settings)
        project, everywhere = store.project(root)
        account = {name: env for name, env in everywhere.items() if env.account == names.account}
        here = {name: env for name, env in account.items() if env.region == names.region}
        first = next(iter(account.values()), None)
        github = project.github
        makes = bool(
            github
            and names.account not in github.existing_oidc_provider
            and first
            and first.region == names.region
        )
        return cls(root, project, names, here, everywhere, makes)

    @property
    def parts(self) -> frozenset[str]:
        """Parts of account.yaml that the whole account has (its `Metadata.Only`)."""
        has = {
            "provider": self.makes_provider,
            "customer_key": any(env.artifact_encryption == "kms" for env in self.here.values()),
        }
        return frozenset(part for part, there in has.items() if there)

    def words(self) -> dict[str, Any]:
        """Of what the account has once."""
        if "customer_key" in self.parts:
            encryption = {
                "ServerSideEncryptionByDefault": {
                    "SSEAlgorithm": "aws:kms",
                    "KMSMasterKeyID": {"Fn::GetAtt": ["ArtifactKey", "Arn"]},
                },
                # One key for the bucket instead of a call of KMS an object.
                "BucketKeyEnabled": True,
            }
        else:
            encryption = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        return {"BUCKET_ENCRYPTION": encryption}

    def environments(self) -> list[Place]:
        """The environments, whose names can be told apart in the names of resources."""
        self._keep_apart()
        return [Place(self, name, env) for name, env in self.here.items()]

    def _keep_apart(self) -> None:
        """Policies say `*-<environment>` and `*-<environment>-*`: no name may fit two environments.

        Raises:
            DefinitionError: one does.
        """
        pipelines = [name.replace("_", "-") for name in store.names(self.root)]
        for one in self.here:
            made = [f"{pipeline}-{one}" for pipeline in pipelines]
            made += [f"{pipeline}-{one}-{suffix}" for pipeline in pipelines for suffix in SUFFIXES]
            others = [name for name in self.here if name != one]
            made += self._glue_jobs(one) if others else []
            for other in others:
                for name in made:
                    if fnmatchcase(name, f"*-{other}") or fnmatchcase(name, f"*-{other}-*"):
                        raise DefinitionError(
                            f"{name!r} of {one} would be taken for a resource of {other}, which lives in the "
                            "same account",
                            where="pipeline.toml",
                            hint="rename the environment or the pipeline, or give one an account of its own",
                        )

    def _glue_jobs(self, environment: str) -> list[str]:
        """Names of the Glue jobs of all pipelines in an environment."""
        found = []
        for pipeline in store.names(self.root):
            try:
                settings = store.load(self.root, pipeline, environment)
            except PipelineError:
                # Settings with errors are told where the pipeline is rendered.
                continue
            jobs = [name for name, each in settings.pipeline.transforms.items() if each.script]
            found += [Names.of(settings).transform(name) for name in jobs]
        return found


@dataclass(frozen=True)
class Place:
    """One environment in its account."""

    account: Account
    name: str
    environment: Environment

    @property
    def github(self) -> GitHub | None:
        return self.account.project.github

    @property
    def promoting(self) -> dict[str, Environment]:
        """The environments that promote from here."""
        return {n: env for n, env in self.account.everywhere.items() if env.promote_from == self.name}

    @property
    def parts(self) -> frozenset[str]:
        """Parts of account.yaml that this environment has (its `Metadata.Only`)."""
        github, env = self.github, self.environment
        builds = bool(github and github.codebuild)
        has = {
            "budget": env.budget_usd_per_month is not None,
            "github": github is not None,
            "promotes": bool(self.promoting),
            "read": github is not None or bool(self.promoting),
            "codebuild": builds,
            "build_email": builds and env.notification.alarm_email is not None,
        }
        return self.account.parts | {part for part, there in has.items() if there}

    def words(self) -> dict[str, Any]:
        """Of what each environment has."""
        env, names = self.environment, self.account.names
        buckets = self._data_buckets()
        own = names.bucket_arn(names.artifact_bucket)
        secret = env.notification.slack_secret
        tags = Names(names.project, "", self.name, names.account, names.region, tuple(env.tags.items())).tags
        found: dict[str, Any] = {
            # Written out: a template has to fit into the request as long as there is no bucket to put it in.
            "${Project}": names.project,
            "${AWS::Partition}": names.partition,
            "${AWS::Region}": names.region,
            "${AWS::AccountId}": names.account,
            "ENVIRONMENT": self.name,
            "LOG_DAYS": env.log_retention_days,
            "DATA_BUCKETS": [arn for bucket in buckets for arn in (bucket, f"{bucket}/*")] or DROP,
            "BUCKETS": [own, *buckets],
            "ALGORITHMS": self._algorithms() or DROP,
            # Secrets Manager adds six characters to a secret's name.
            "SECRETS": names.arn("secretsmanager", f"secret:{secret}-??????") if secret else DROP,
            "BUDGET_AMOUNT": env.budget_usd_per_month,
            "BUDGET_EMAIL": env.budget_email or "",
            "BUDGET_TAG": next(f"{k}${v}" for k, v in tags.items() if k.lower() == "environment"),
            "ALARM_EMAIL": env.notification.alarm_email or "",
        }
        found |= self._promotion_words()
        return found | (self._github_words(self.github) if self.github else {})

    def _promotion_words(self) -> dict[str, Any]:
        names, project = self.account.names, self.account.project.name
        source = self.environment.promote_from
        sources = self.account.everywhere.get(source) if source else None
        accounts = sorted({env.account for env in self.promoting.values()})
        roots = [names.arn("iam", "root", region="", account=each) for each in accounts]
        roles = [role(names, project, env, name, "deploy") for name, env in self.promoting.items()]
        return {
            "PROMOTION_SOURCES": role(names, project, sources, source, "promotion-source")
            if sources and source
            else DROP,
            "PROMOTION_ACCOUNTS": roots,
            # STS lets no root user assume a role, so on AWS the roots are nobody; the local target knows an
            # account by nothing else.
            "PROMOTION_ROLES": [*roles, *roots],
        }

    def _pipelines(self) -> Iterator[Settings]:
        """Those whose settings are valid: others get nothing, and do not keep these from being deployed."""
        for pipeline in store.names(self.account.root):
            try:
                yield store.load(self.account.root, pipeline, self.name)
            except PipelineError:
                continue

    def _algorithms(self) -> list[str]:
        """ARNs of built-in algorithms' repositories; which account of AWS it is, a role's own policy says."""
        used = {each.pipeline.algorithm.name for each in self._pipelines() if each.pipeline.algorithm}
        repositories = sorted(algorithms.carried()[name]["repository"] for name in used)
        return [self.account.names.arn("ecr", f"repository/{name}", account="*") for name in repositories]

    def _data_buckets(self) -> list[str]:
        """ARNs of the buckets besides the account's own that pipelines read their data from."""
        found = {settings.data_bucket for settings in self._pipelines()}
        own = self.account.names.artifact_bucket
        return [self.account.names.bucket_arn(bucket) for bucket in sorted(found - {own})]

    def _github_words(self, github: GitHub) -> dict[str, Any]:
        names = self.account.names
        host = "token.actions.githubusercontent.com"
        provider = names.arn("iam", f"oidc-provider/{host}", region="")
        return {
            "PROVIDER": {"Ref": "OidcProvider"} if self.account.makes_provider else provider,
            "PLAN_SUBJECTS": plan_subjects(github),
            "DEPLOY_SUBJECTS": subjects(github, f"environment:{self.name}"),
            "BUILD_SERVICE": "codebuild.amazonaws.com" if github.codebuild else DROP,
            "CONNECTION": github.codebuild_connection or DROP,
            "CONNECTION_AUTH": {"Type": "CODECONNECTIONS", "Resource": github.codebuild_connection}
            if github.codebuild_connection
            else DROP,
            "REPOSITORY_URL": f"https://github.com/{github.repository}.git",
            "DEFAULT_BRANCH": github.default_branch,
            "DEPLOY_TRIGGERS": self._deploy_triggers(github),
            "PULL_REQUEST_FILTERS": pull_request_filters(github),
        }

    def _deploy_triggers(self, github: GitHub) -> Any:
        """What starts the build that deploys: a release where models are promoted to, else a merge.

        A merge goes to where promotions begin; where there are none, to the default environment, as
        pipeline/ci/stages.py has it.
        """
        promotions = any(env.promote_from for env in self.account.everywhere.values())
        first = self.promoting if promotions else self.name == self.account.project.default_environment
        if self.environment.promote_from:
            ref = "^refs/tags/v"
        elif first:
            ref = f"^refs/heads/{re.escape(github.default_branch)}$"
        else:
            return DROP
        filters = [{"Type": "EVENT", "Pattern": "PUSH"}, {"Type": "HEAD_REF", "Pattern": ref}]
        return {"Webhook": True, "FilterGroups": [filters]}


def role(names: Names, project: str, environment: Environment, name: str, purpose: str) -> str:
    """ARN of an environment's role, in whichever account it lives."""
    return names.arn("iam", f"role/{project}-{name}-{purpose}", region="", account=environment.account)


def subjects(github: GitHub, about: str) -> list[str]:
    """The `sub` of GitHub's tokens in both of its forms: by name, and with the ids that never change.

    https://docs.github.com/en/actions/reference/security/oidc#immutable-subject-claims
    """
    owner, _, name = github.repository.partition("/")
    found = [f"repo:{owner}/{name}:{about}"]
    if github.owner_id is not None:
        found.append(f"repo:{owner}@{github.owner_id}/{name}@{github.repository_id}:{about}")
    return found


def plan_subjects(github: GitHub) -> list[str]:
    """Jobs without an environment: of pull requests, the default branch and its merge queue."""
    branch = github.default_branch
    about = ("pull_request", f"ref:refs/heads/{branch}", f"ref:refs/heads/{QUEUE}/{branch}/*")
    return [subject for each in about for subject in subjects(github, each)]


def pull_request_filters(github: GitHub) -> list[list[dict[str, str]]]:
    """Pull requests into the default branch, by the actors named, or by anybody."""
    events = "PULL_REQUEST_CREATED,PULL_REQUEST_UPDATED,PULL_REQUEST_REOPENED"
    filters = [
        {"Type": "EVENT", "Pattern": events},
        {"Type": "BASE_REF", "Pattern": f"^refs/heads/{re.escape(github.default_branch)}$"},
    ]
    if github.codebuild_actors:
        actors = "|".join(str(actor) for actor in github.codebuild_actors)
        filters.append({"Type": "ACTOR_ACCOUNT_ID", "Pattern": f"^({actors})$"})
    return [filters]
