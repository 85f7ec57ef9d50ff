"""aws-sdk:<service>:<api>: every API of every service, generically over botocore's models."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import botocore.session

from pipeline.local.states import sdknames
from pipeline.local.states.integrations import api
from pipeline.local.states.integrations.base import Integration
from pipeline.local.states.integrations.waiting import from_token
from pipeline.local.states.taskcall import REQUEST, TOKEN, Resource, TaskCall


@lru_cache(maxsize=1)
def _services() -> dict[str, str]:
    """botocore's services by their name without hyphens."""
    names = botocore.session.get_session().get_available_services()
    return {name.replace("-", ""): name for name in names}


def botocore_name(service: str) -> str:
    """botocore's name for an integration's service (cloudwatchlogs -> logs); "" for an unknown one."""
    service = service.lower()
    return sdknames.BOTOCORE_NAMES.get(service) or _services().get(service, "")


@lru_cache(maxsize=256)
def _model(name: str) -> Any:
    return botocore.session.get_session().get_service_model(name)


class AwsSdk(Integration):
    """Request-response and task token; AWS offers no .sync here."""

    def supports(self, resource: Resource) -> bool:
        service = botocore_name(resource.service.removeprefix("aws-sdk:"))
        if not service or resource.pattern not in (REQUEST, TOKEN):
            return False
        wanted = resource.api.lower()
        return any(name.lower() == wanted for name in _model(service).operation_names)

    def run(self, call: TaskCall) -> Any:
        service = botocore_name(call.resource.service.removeprefix("aws-sdk:"))
        style = api.sdk_style(service, str(_model(service).service_id))
        response = api.request(call, style, call.resource.api, call.parameters)
        if call.resource.pattern == TOKEN:
            call.submitted(response)
            return from_token(call)
        return response


AWS_SDK = AwsSdk()
