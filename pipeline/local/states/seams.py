"""The parts of MiniStack's Step Functions we build on, named once so that a contract test can pin them.

Kept: the stores (state machines, executions, activities, map runs), the intrinsic functions, JSONata, the
EventBridge status event, distributed maps. Everything else of the execution core is ours.
"""

from __future__ import annotations

import re
from typing import Any

from ministack.services import stepfunctions as sfn

from pipeline.local.states.errors import QUERY_EVALUATION, Fault

# Every name used; tests/contract/states/test_states_seams.py fails by name when MiniStack moves one.
USED = (
    "_activities",
    "_activity_tasks",
    "_create_state_machine",
    "_delete_state_machine",
    "_describe_execution",
    "_describe_state_machine",
    "_describe_state_machine_for_execution",
    "_emit_execution_status_event",
    "_evaluate_jsonata",
    "_exec_intrinsic",
    "_execution_version_arn",
    "_executions",
    "_ExecutionError",
    "_get_execution_history",
    "_invoke_resource",
    "_list_executions",
    "_resolve_state_machine_arn",
    "_restore_state",
    "_run_distributed_map",
    "_run_sub_machine",
    "_send_task_failure",
    "_send_task_heartbeat",
    "_send_task_success",
    "_start_execution",
    "_start_sync_execution",
    "_state_machine_versions",
    "_state_machines",
    "_stop_execution",
    "_test_state",
    "_update_state_machine",
    "_validate_state_machine_definition",
)

executions: Any = sfn._executions
state_machines: Any = sfn._state_machines
versions: Any = sfn._state_machine_versions
activities: Any = sfn._activities
activity_tasks: Any = sfn._activity_tasks
DistributedMapError: Any = sfn._ExecutionError

_JSONATA_CODE = re.compile(r"^[A-Z]\d{4}: ")


class _Context(dict[str, Any]):
    """The context object as MiniStack's JSONata takes it.

    It has the variables under `get`, but not among its items: $states.context shows the items.
    """

    def __init__(self, context: dict[str, Any], variables: dict[str, Any]) -> None:
        super().__init__(context)
        self._variables = variables

    def __bool__(self) -> bool:
        return True  # MiniStack takes an empty one for none at all

    def get(self, key: str, default: Any = None) -> Any:
        return self._variables if key == "variables" else super().get(key, default)


def run_intrinsic(name: str, values: list[Any]) -> Any:
    """One intrinsic over evaluated arguments; whatever it raises means that the arguments do not fit."""
    return sfn._exec_intrinsic(("call", name, [("str", value) for value in values]), None, None)


def jsonata(
    expression: str, field: str, data: Any, context: dict[str, Any], variables: dict[str, Any], **bound: Any
) -> Any:
    """One JSONata expression (without `{% %}`), failing as AWS words it for the field it stands in.

    `bound` may have `result` and `error_output`.
    """
    context = _Context(context, variables)
    try:
        return sfn._evaluate_jsonata(
            expression, data, context, bound.get("result"), bound.get("error_output")
        )
    except sfn._ExecutionError as error:
        said = f"The JSONata expression '{expression}' specified for the field '{field}' "
        if _JSONATA_CODE.match(error.cause):
            said += f"threw an error during evaluation. {error.cause}"
        elif "did not return a result" in error.cause:
            said += "returned nothing (undefined)."
        else:
            said += f"threw an error during evaluation. {error.cause}"
        raise Fault(said, error=QUERY_EVALUATION, location=field) from error


def emit_status(record: dict[str, Any]) -> None:
    """Put the execution's "Status Change" event on the default EventBridge bus."""
    sfn._emit_execution_status_event(record)
