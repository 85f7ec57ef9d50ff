"""From an endpoint to the commit that it was made from, each link verified where AWS and git keep it.

    endpoint -> config -> model -> model package -> artifact [-> bundle] -> training job [-> transforms]
             -> data -> image -> commit -> pull request

A link says what two records agree on; one record alone proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline import algorithms
from pipeline.aws.errors import code, message, told
from pipeline.lineage import bundles, data, origin, transforms
from pipeline.lineage.links import Chain
from pipeline.promote import objects
from pipeline.settings import load

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

# Settings of an environment -> clients that may read what was promoted from it.
Elsewhere = Callable[["Settings"], "Clients"]


def trace(root: Path, settings: Settings, clients: Clients, elsewhere: Elsewhere | None = None) -> Chain:
    """The chain of the pipeline's endpoint; it ends where nothing can be read any more.

    Args:
        root: the git repository.
        elsewhere: how to read the environment that a version was promoted from; without it those links are
            unknown.

    Raises:
        TargetError: AWS refuses to answer at all.
    """
    chain = Chain(settings.stack_name)
    with told(clients.target.name):
        package = _served(chain, settings, clients)
        if package is None:
            return chain
        facts = dict(package.get("CustomerMetadataProperties") or {})
        container = package["InferenceSpecification"]["Containers"][0]
        made_at, made_by, original = _promoted(chain, settings, clients, package, facts, elsewhere)
        _artifact(chain, clients, container, facts)
        if made_by is None:
            chain.add("training job", facts.get("training_job", ""), None, "it ran in another environment")
        else:
            artifact = bundles.link(chain, made_by, original, facts)
            _job(chain, made_by, original, facts, artifact)
            transforms.link(chain, made_at, made_by, facts)
            data.link(chain, made_at, made_by, facts)
        origin.workflow(chain, facts)
        tags = origin.image(chain, clients, container, facts)
        commit = origin.commit(chain, root, settings, tags, facts)
        origin.pull_request(chain, root, commit, facts)
    return chain


def _served(chain: Chain, settings: Settings, clients: Clients) -> Mapping[str, Any] | None:
    """Endpoint, config, model, package; DescribeModelPackage of the last."""
    sagemaker, name = clients.sagemaker, settings.stack_name
    endpoint = _ask(chain, "endpoint", name, sagemaker.describe_endpoint, EndpointName=name)
    if endpoint is None:
        return None
    status, config_name = endpoint["EndpointStatus"], endpoint["EndpointConfigName"]
    chain.add("endpoint", endpoint["EndpointArn"], status == "InService", f"it is {status}")
    config = _ask(
        chain,
        "endpoint config",
        config_name,
        sagemaker.describe_endpoint_config,
        EndpointConfigName=config_name,
    )
    if config is None:
        return None
    wanted = {each["VariantName"]: each["ModelName"] for each in config["ProductionVariants"]}
    running = {each["VariantName"]: each for each in endpoint.get("ProductionVariants", ())}
    chain.add(
        "endpoint config",
        config["EndpointConfigArn"],
        set(wanted) == set(running),
        f"the endpoint runs its variants: {', '.join(sorted(running)) or 'none'}",
    )
    models = sorted(set(wanted.values()))
    if len(models) != 1:
        chain.add("model", ", ".join(models), False, "its variants serve different models")
        return None
    model = _ask(chain, "model", models[0], sagemaker.describe_model, ModelName=models[0])
    if model is None:
        return None
    arn = (model.get("PrimaryContainer") or {}).get("ModelPackageName", "")
    if not chain.add(
        "model", model["ModelArn"], bool(arn), "it is of a registered version" if arn else "of no version"
    ):
        return None
    package = _ask(chain, "model package", arn, sagemaker.describe_model_package, ModelPackageName=arn)
    if package is None:
        return None
    _package(chain, package, running)
    return package


def _package(chain: Chain, package: Mapping[str, Any], running: Mapping[str, Any]) -> None:
    approval = package.get("ModelApprovalStatus")
    image = package["InferenceSpecification"]["Containers"][0]["Image"]
    digest = image.rpartition("@")[2]
    served = {
        deployed.get("ResolvedImage") or deployed.get("SpecifiedImage", "")
        for variant in running.values()
        for deployed in variant.get("DeployedImages", ())
    }
    same = {each.rpartition("@")[2] for each in served} == {digest} if served else None
    runs = "its image" if same else ", ".join(sorted(served)) or "what nobody tells"
    proof = f"{approval}; the endpoint's containers run {runs}"
    holds = False if approval != "Approved" or same is False else same
    chain.add("model package", package["ModelPackageArn"], holds, proof)


def _promoted(
    chain: Chain,
    settings: Settings,
    clients: Clients,
    package: Mapping[str, Any],
    facts: Mapping[str, str],
    elsewhere: Elsewhere | None,
) -> tuple[Settings, Clients | None, Mapping[str, Any]]:
    """Where it was made: the settings and clients of that environment, and the version there."""
    source = facts.get("promoted_from", "")
    if not source:
        return settings, clients, package
    name = settings.environment.promote_from
    there = load(Path(settings.root), settings.name, name) if name else None
    if there is None or elsewhere is None or source.split(":")[4] != there.environment.account:
        chain.add("promoted from", source, None, "that environment cannot be read from here")
        return settings, None, package
    other = elsewhere(there)
    try:
        found = other.sagemaker.describe_model_package(ModelPackageName=source)
    except ClientError as error:
        chain.add("promoted from", source, False, message(error))
        return there, None, package
    theirs, ours = (each["InferenceSpecification"]["Containers"][0]["Image"] for each in (found, package))
    same = theirs.rpartition("@")[2] == ours.rpartition("@")[2]
    chain.add(
        "promoted from",
        source,
        same and found.get("ModelApprovalStatus") == "Approved",
        f"by tag {facts.get('promoted_tag')}; {'the same image' if same else 'ANOTHER image'}, "
        f"{found.get('ModelApprovalStatus')} there",
    )
    return there, other, found


def _artifact(chain: Chain, clients: Clients, container: Mapping[str, Any], facts: Mapping[str, str]) -> None:
    """The bytes: by the registry's ETag always, by SHA-256 where a promotion recorded one."""
    url = str(container["ModelDataUrl"])
    place = objects.Place.of(url)
    etag, recorded = objects.etag(clients, place), str(container.get("ModelDataETag", ""))
    if not etag:
        chain.add("artifact", url, False, "it is gone")
        return
    wanted = facts.get("model_sha256", "")
    if wanted:
        found = objects.digest(clients, place)
        chain.add("artifact", url, found == wanted, f"sha256 {found}, promoted was {wanted}")
        return
    same = etag.strip('"') == recorded.strip('"') if recorded else None
    chain.add("artifact", url, same, f"ETag {etag.strip(chr(34))}, registered was {recorded or 'none'}")


def _job(
    chain: Chain, clients: Clients, package: Mapping[str, Any], facts: Mapping[str, str], artifact: str
) -> None:
    """artifact: what it must have made."""
    name = facts.get("training_job", "")
    if not name:
        chain.add("training job", "", False, "the version names none")
        return
    job = _ask(chain, "training job", name, clients.sagemaker.describe_training_job, TrainingJobName=name)
    if job is None:
        return
    container = package["InferenceSpecification"]["Containers"][0]
    made = (job.get("ModelArtifacts") or {}).get("S3ModelArtifacts")
    own = made == artifact
    uri = job["AlgorithmSpecification"].get("TrainingImage", "")
    algorithm = algorithms.of_image(uri)  # of AWS: its image trains, the pipeline's own serves
    image = " ".join(algorithm) if algorithm else uri.rpartition("@")[2]
    same = algorithm is not None or image == container["Image"].rpartition("@")[2]
    status = job["TrainingJobStatus"]
    by = "this image" if same and not algorithm else image
    chain.add(
        "training job",
        job["TrainingJobArn"],
        status == "Completed" and own and same,
        f"{status}; it made {_what(artifact, container) if own else made} in {by}",
    )


def _what(artifact: str, container: Mapping[str, Any]) -> str:
    return "this artifact" if artifact == container["ModelDataUrl"] else "the model in the bundle"


def _ask(chain: Chain, what: str, value: str, call: Callable[..., Any], **request: Any) -> Any:
    """What AWS describes; None, and a broken link, where there is nothing to describe."""
    try:
        return call(**request)
    except ClientError as error:
        if code(error) not in {"ValidationException", "ResourceNotFound"}:
            raise
        chain.add(what, value, False, message(error))
        return None
