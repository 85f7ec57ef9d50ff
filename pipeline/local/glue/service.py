"""Glue's front door: jobs and their runs behind one dispatch; the rest of Glue is refused by name.

Resource modules register their functions with `operation`; this module is the service MiniStack is given.
"""

from __future__ import annotations

from pipeline.local.api.dispatch import Dispatch
from pipeline.local.api.front import Front
from pipeline.local.glue import access
from pipeline.local.glue.store import store

# Every module that registers operations, in the order their on_start() runs.
MODULES = ("tags", "job", "job_run")
_PACKAGE = __name__.rpartition(".")[0]

_front = Front(
    Dispatch("glue", "Glue", "AWSGlue", _PACKAGE, MODULES, access.by_name, access.authorise), store
)

# What its own modules, and MiniStack, know it by.
call = _front.call
current_scope = _front.current_scope
get_state = _front.get_state
handle_request = _front.handle_request
load = _front.load
load_persisted_state = _front.load_persisted_state
on_start = _front.on_start
on_stop = _front.on_stop
operation = _front.operation
reset = _front.reset
supported = _front.supported
operations = _front.operations
