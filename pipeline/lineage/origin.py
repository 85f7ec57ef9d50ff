"""The image's source, the commit and the pull request: what git says of what AWS runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.aws.errors import code
from pipeline.git import ask
from pipeline.image.fingerprint import source_part, source_tag
from pipeline.lineage.links import Chain
from pipeline.names import WORKFLOW_FILE
from pipeline.promote import content

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

# GitHub's own words for a merge and for a squash.
_MERGED = re.compile(r"^Merge pull request #(\d+) from |\(#(\d+)\)$")


def image(
    chain: Chain, clients: Clients, container: Mapping[str, Any], facts: Mapping[str, str]
) -> list[str]:
    """The digest: of the package, of what it recorded, and in the registry; the tags it has there."""
    uri = str(container["Image"])
    digest, recorded = uri.rpartition("@")[2], facts.get("image", "").rpartition("@")[2]
    tags = _tags(clients, uri)
    if tags is None:
        chain.add("image", uri, False, "the registry does not have it")
        return []
    chain.add(
        "image",
        uri,
        digest == recorded,
        f"the registry has it as {', '.join(tags) or 'untagged'}; recorded was {recorded[:19]}...",
    )
    return tags


def _tags(clients: Clients, uri: str) -> list[str] | None:
    repository, _, digest = uri.partition("/")[2].partition("@")
    try:
        details = clients.ecr.describe_images(repositoryName=repository, imageIds=[{"imageDigest": digest}])
    except ClientError as error:
        if code(error) in {"ImageNotFoundException", "RepositoryNotFoundException"}:
            return None
        raise
    found: list[str] = details["imageDetails"][0].get("imageTags", [])
    return found


def workflow(chain: Chain, facts: Mapping[str, str]) -> None:
    """A workflow that no commit holds breaks the chain; one of the commit's own is the commit's link."""
    if by_hand := facts.get(WORKFLOW_FILE, ""):
        said = "it was applied from this file (--asl), so the commit does not say what made the model"
        chain.add("workflow", by_hand, False, said)


def commit(
    chain: Chain, root: Path, settings: Settings, tags: Sequence[str], facts: Mapping[str, str]
) -> str:
    """The commit, if it is in this clone; proved by the image, whose tag is a hash of its source."""
    named = facts.get("git_sha", "")
    sha = named.removesuffix("-dirty")
    if not re.fullmatch(r"[0-9a-f]{40}", sha):
        chain.add("commit", named, False, "the version names none")
        return ""
    if ask(root, "cat-file", "-e", f"{sha}^{{commit}}")[0]:
        chain.add("commit", named, None, "it is not in this clone (git fetch)")
        return ""
    subject = ask(root, "log", "-1", "--format=%s (%an, %as)", sha)[1]
    if named != sha:
        chain.add("commit", named, False, f"on top of '{subject}' there were changes that nobody committed")
        return sha
    with content.checked_out(root, sha) as copy:
        folder = copy / "container" / settings.pipeline.container
        source = source_tag(folder) if (folder / "Dockerfile").is_file() else "no container"
    built = sorted({part for tag in tags if (part := source_part(tag))})
    if not built:
        chain.add("commit", sha, None, f"{subject}; no tag tells what the image was built from")
    else:
        proof = f"{subject}; the image is {', '.join(built)}, the commit's source {source}"
        holds = source in built
        # It can be wrong, but not prove anything, of a model that another workflow made.
        chain.add("commit", sha, None if holds and facts.get(WORKFLOW_FILE) else holds, proof)
    return sha


def pull_request(chain: Chain, root: Path, sha: str, facts: Mapping[str, str]) -> None:
    """The number that the run was given, against what the commit that merged it says."""
    given = facts.get("pull_request", "")
    named = given.lstrip("#") if given not in ("", "none") else ""
    said = _merging(root, sha) if sha else ""
    if named and said:
        chain.add("pull request", f"#{named}", named == said, f"the merge on the main line says #{said}")
    elif named:
        chain.add("pull request", f"#{named}", None, "no merge commit in this clone says so")
    elif said:
        chain.add("pull request", f"#{said}", None, "by the commit's own words; the run named none")
    else:
        chain.add("pull request", "", None, "none is named: pushed directly, or applied by hand")


def _merging(root: Path, sha: str) -> str:
    """The number in the commit's own subject (a squash), or in the first merge on main that brought it."""
    subjects = [ask(root, "log", "-1", "--format=%s", sha)[1]]
    for ref in ("origin/main", "local/main", "main", "HEAD"):
        if ask(root, "merge-base", "--is-ancestor", sha, ref)[0] == 0:
            path = ["--ancestry-path", "--first-parent", "--merges", "--reverse", "--format=%s"]
            subjects += ask(root, "log", *path, f"{sha}..{ref}")[1].splitlines()[:1]
            break
    for subject in subjects:
        match = _MERGED.search(subject)
        if match:
            return match[1] or match[2]
    return ""
