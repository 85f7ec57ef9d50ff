"""What a person sets on GitHub, so that the roles of an account let the right jobs in and no others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.settings.model import Settings

# The jobs that wait for all others of a pull request (.github/workflows/pull-request.yml, ci.yml).
REQUIRED_CHECKS = ("required", "ci required")


def facts(settings: Settings) -> dict[str, Any] | None:
    """Environments, branch and tag rules; None without [project.github]."""
    from pipeline import settings as store
    from pipeline.ci.stages import find

    github = settings.project.github
    if github is None:
        return None
    root = Path(settings.root)
    stages, (_, environments) = find(root), store.project(root)
    here = {name: env for name, env in environments.items() if env.account == settings.environment.account}
    deployed = [
        {
            "name": name,
            # A rollback is started on the default branch, whatever the environment.
            "from": ["tags v*"] * (name in stages.release) + [f"branch {github.default_branch}"],
            # A release goes to people; a merge was reviewed already.
            "reviewers": name in stages.release,
            "deploy_role": _role(settings, env.account, name, "deploy"),
            "plan_role": _role(settings, env.account, name, "plan"),
        }
        for name, env in here.items()
        if name in (*stages.merge, *stages.release)
    ]
    return {
        "repository": github.repository,
        "environments": deployed,
        "required_checks": list(REQUIRED_CHECKS),
        "immutable_subject": github.owner_id is not None,
        "secrets": [],
        "variables": [],
    }


def lines(settings: Settings) -> list[str]:
    """The same for a person."""
    found = facts(settings)
    if found is None:
        return [
            "no roles for GitHub: pipeline.toml has no [project.github]",
            '  to let its workflows in:  [project.github]  repository = "owner/name"',
        ]
    told = [f"on https://github.com/{found['repository']}/settings:"]
    for each in found["environments"]:
        rule = "required reviewers, and " if each["reviewers"] else ""
        told.append(f"  environment {each['name']}: {rule}deployments from {' and '.join(each['from'])} only")
        told.append(f"    its jobs become {each['deploy_role']}")
        told.append(f"    plans of pull requests become {each['plan_role']}")
    checks = " and ".join(repr(check) for check in found["required_checks"])
    told.append(f"  rule for the default branch: a pull request, and the checks {checks}")
    told.append("  rule for tags v*: only maintainers make them, nobody moves them")
    told.append("  secrets and variables: none")
    if not found["immutable_subject"]:
        told.append(
            "  a repository made, renamed or moved since July 2026 needs owner_id and repository_id in "
            "[project.github]:"
        )
        told.append(f"    gh api repos/{found['repository']} --jq '.owner.id, .id'")
    return told


def _role(settings: Settings, account: str, environment: str, purpose: str) -> str:
    from pipeline.names import Names

    name = f"role/{settings.project.name}-{environment}-{purpose}"
    return Names.of(settings).arn("iam", name, region="", account=account)
