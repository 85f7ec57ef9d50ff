"""A build as it begins: what its project says, with what StartBuild says instead. No I/O."""

from __future__ import annotations

from typing import Any

# Members of StartBuild's request -> where in the build they go: https://docs.aws.amazon.com/codebuild/latest/APIReference/API_StartBuild.html
_SOURCE = {
    "sourceTypeOverride": "type",
    "sourceLocationOverride": "location",
    "sourceAuthOverride": "auth",
    "gitCloneDepthOverride": "gitCloneDepth",
    "gitSubmodulesConfigOverride": "gitSubmodulesConfig",
    "buildspecOverride": "buildspec",
    "insecureSslOverride": "insecureSsl",
    "reportBuildStatusOverride": "reportBuildStatus",
    "buildStatusConfigOverride": "buildStatusConfig",
}
_ENVIRONMENT = {
    "environmentTypeOverride": "type",
    "imageOverride": "image",
    "computeTypeOverride": "computeType",
    "certificateOverride": "certificate",
    "privilegedModeOverride": "privilegedMode",
    "registryCredentialOverride": "registryCredential",
    "imagePullCredentialsTypeOverride": "imagePullCredentialsType",
    "fleetOverride": "fleet",
    "hostKernelOverride": "hostKernel",
}
_BUILD = {
    "secondarySourcesOverride": "secondarySources",
    "secondarySourcesVersionOverride": "secondarySourceVersions",
    "secondaryArtifactsOverride": "secondaryArtifacts",
    "cacheOverride": "cache",
    "serviceRoleOverride": "serviceRole",
    "timeoutInMinutesOverride": "timeoutInMinutes",
    "queuedTimeoutInMinutesOverride": "queuedTimeoutInMinutes",
    "encryptionKeyOverride": "encryptionKey",
}
# Of a project, what a build has as well.
_OF_PROJECT = (
    "source",
    "secondarySources",
    "secondarySourceVersions",
    "secondaryArtifacts",
    "cache",
    "environment",
    "serviceRole",
    "timeoutInMinutes",
    "queuedTimeoutInMinutes",
    "encryptionKey",
    "vpcConfig",
)
# What the local target has no counterpart of; asked for, a build would not be what was asked for.
REFUSED = {
    "secondarySourcesOverride": "secondary sources",
    "secondaryArtifactsOverride": "secondary artifacts",
    "debugSessionEnabled": "debug sessions",
    "fleetOverride": "fleets",
}


def build(project: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """The members of a Build that project and request decide; `_artifacts` and `_logs` are what was asked."""
    found = {key: project[key] for key in _OF_PROJECT if key in project}
    found |= {place: request[name] for name, place in _BUILD.items() if name in request}
    found["source"] = _replaced(project["source"], request, _SOURCE)
    environment = _replaced(project["environment"], request, _ENVIRONMENT)
    environment["environmentVariables"] = _variables(
        environment.get("environmentVariables") or [], request.get("environmentVariablesOverride") or []
    )
    found["environment"] = environment
    version = request.get("sourceVersion") or project.get("sourceVersion")
    if version:
        found["sourceVersion"] = version
    found["_artifacts"] = request.get("artifactsOverride") or project["artifacts"]
    found["_logs"] = request.get("logsConfigOverride") or project.get("logsConfig") or {}
    return found


def _replaced(own: dict[str, Any], request: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {**own, **{place: request[name] for name, place in names.items() if name in request}}


def _variables(own: list[dict[str, Any]], given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """An override replaces the variable of its name, and adds one that the project lacks."""
    merged = {variable["name"]: variable for variable in [*own, *given]}
    return list(merged.values())
