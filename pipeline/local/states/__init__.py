"""Step Functions of the local target: MiniStack's API, our interpreter (docs/decisions/0005).

api.py            the operations answered here          execution.py      an execution's life
validate.py       definitions                           engine.py         the walk, plain states
managed_rules.py  rights checked at creation            fork.py           Parallel and Map
seams.py          what is used of MiniStack             task.py           Task; guard.py: Retry and Catch
integrations/     what tasks call, a file a service     template.py ...   paths, templates, JSONata
"""

from __future__ import annotations

from pipeline.local.states.execution import recover
from pipeline.local.states.installation import install, install_cloudformation, on_stop

__all__ = ["install", "install_cloudformation", "on_stop", "recover"]
