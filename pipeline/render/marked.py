"""What a workflow given by a file registers says so: the file's name and hash, in each version's metadata."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.names import WORKFLOW_FILE
from pipeline.render.tasks import call, tasks

if TYPE_CHECKING:
    from pipeline.settings.workflow import GivenWorkflow


def marked(given: GivenWorkflow) -> dict[str, Any]:
    """The file's state machine, in which every version that it registers keeps where the workflow is from.

    The commit that a run names did not make such a model: `pipeline trace` and promotion read this.
    """
    asl = copy.deepcopy(given.asl)
    # The registry's alphabet: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModelPackage.html
    name = re.sub(r"[^\w .:/=+@-]", "_", Path(given.label).name)[:150]
    for _, state in tasks(asl):
        called = call(str(state.get("Resource", "")))
        if called is None or (called.service, called.operation) != ("sagemaker", "CreateModelPackage"):
            continue
        parameters = state.setdefault("Parameters", {})
        facts = parameters.get("CustomerMetadataProperties")
        known = facts if isinstance(facts, dict) else {}
        kept = {key: value for key, value in known.items() if key != f"{WORKFLOW_FILE}.$"}
        parameters["CustomerMetadataProperties"] = {**kept, WORKFLOW_FILE: f"{name} sha256:{given.sha256}"}
    return asl
