"""What a run started now would do and what it would skip, step by step, with the reason. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.cost.usage import longest_way
from pipeline.graph.model import branches_of
from pipeline.plan.model import ImageAction

_JOB = re.compile(r":states:::(sagemaker|glue):\w+\.sync(:\d+)?$")
Does = Literal["skip", "run", "depends", "unknown"]


@dataclass(frozen=True)
class StepForecast:
    """One step of the next run: what becomes of it, and why."""

    step: str
    does: Does
    why: str


@dataclass(frozen=True)
class Forecast:
    """What the pipeline's own functions would answer now.

    Args:
        checked: `$.run` of CheckData; None where it was not asked.
        reuse: `$.reuse` of FindReusable; None where it was not asked.
        why_not: why it was not asked.
        recipes: where only two templates are known: fingerprint -> whether what it is made of changes,
            the data left aside.
    """

    checked: Mapping[str, Any] | None = None
    reuse: Mapping[str, Any] | None = None
    why_not: str = ""
    recipes: Mapping[str, bool] | None = None


def steps(asl: Mapping[str, Any], image: ImageAction, said: Forecast) -> tuple[StepForecast, ...]:
    """The forecast of a run without FORCE, in the order of its steps."""
    return (_image(image), *_steps(asl, image, said))


def jobs(asl: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The states that start a job and wait for it, by name, in the order in which a run comes by them."""
    way = longest_way(asl) if asl["StartAt"] else []
    found = {name: state for name, state in _states(asl) if _JOB.search(str(state.get("Resource", "")))}
    return dict(sorted(found.items(), key=lambda item: way.index(item[0]) if item[0] in way else len(way)))


def finding(asl: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The payload of the state that looks for what may be reused; None if the pipeline has no such state."""
    for _, state in _states(asl):
        payload = (state.get("Parameters") or {}).get("Payload")
        if isinstance(payload, Mapping) and isinstance(payload.get("jobs"), list):
            return payload
    return None


def _is_glue(state: Mapping[str, Any]) -> bool:
    return ":states:::glue:" in str(state.get("Resource", ""))


def _image(image: ImageAction) -> StepForecast:
    does: dict[str, Does] = {"reuse": "skip", "build": "run", "workflow": "run", "missing": "unknown"}
    return StepForecast("image", does.get(image.how, "unknown"), image.why or "not looked up")


def _steps(asl: Mapping[str, Any], image: ImageAction, said: Forecast) -> Iterator[StepForecast]:
    known = jobs(asl)
    if said.checked is None and said.recipes is not None:
        yield from _by_recipe(known, finding(asl), image, said.recipes)
        return
    if said.checked is None:
        yield from (
            StepForecast(name, "unknown", said.why_not) for name in ("data", *known, "model", "deploy")
        )
        return
    new, reason = bool(said.checked.get("new")), str(said.checked.get("reason", ""))
    yield StepForecast("data", "run", f"of {said.checked.get('date')}: {reason}")
    if not new:
        ends = "the run ends as NothingNew"
        yield from (StepForecast(name, "skip", ends) for name in (*known, "model", "deploy"))
        return
    if not image.digest:
        # The image's digest is part of every fingerprint but a transform's.
        why = f"the image is new ({image.tag})"
        for name, state in known.items():
            own = _is_glue(state)
            yield StepForecast(name, "depends" if own else "run", NOT_OF_THE_IMAGE if own else why)
        yield from (StepForecast(name, "run", why) for name in ("model", "deploy"))
        return
    payload = finding(asl)
    by_state = _results(known, payload)
    for name in known:
        yield _job(name, by_state.get(name), said)
    yield from _model(payload, said.reuse)


def _by_recipe(
    known: Mapping[str, Any],
    payload: Mapping[str, Any] | None,
    image: ImageAction,
    changed: Mapping[str, bool],
) -> Iterator[StepForecast]:
    """What two templates alone tell: what changes is made anew; the rest is not, if its data was seen."""
    prints = {job["result"]: job["fingerprint"] for job in payload["jobs"]} if payload else {}
    results = _results(known, payload)
    new_image = "the image changes" if image.how != "reuse" else ""
    anything = new_image or ("a step before it changes" if any(changed.values()) else "")
    before = False
    for name, state in known.items():
        step = prints.get(results.get(name, ""))
        if step is None:
            yield StepForecast(name, "depends", "decided while the run goes")
            continue
        own = "what it is made of changes" if changed.get(step, True) else ""
        if _is_glue(state):
            before = before or bool(own)
            yield StepForecast(name, "run" if own else "depends", own or SAME)
            continue
        why = new_image or own or ("a step before it changes" if before else "")
        before = before or bool(why)
        yield StepForecast(name, "run" if why else "depends", why or SAME)
    for step in ("model", "deploy"):
        yield StepForecast(step, "run" if anything else "depends", anything or SAME)


NOT_OF_THE_IMAGE = "skipped, if it was made before: the image is no part of it"
SAME = "skipped, if the same data was used before: nothing that it is made of changes"


def recipes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> dict[str, bool]:
    """Fingerprint -> whether its recipe changes, from check_data's FINGERPRINTS of two templates."""
    then, now = _recipes(before), _recipes(after)
    return {name: then.get(name) != recipe for name, recipe in now.items()}


def _recipes(found: Mapping[str, Any] | None) -> dict[str, Any]:
    if not found:
        return {}
    return {step["name"]: step for step in found.get("steps", [])} | {"gate": found.get("gate")}


def _results(known: Mapping[str, Mapping[str, Any]], payload: Mapping[str, Any] | None) -> dict[str, str]:
    """State -> the name of its result, for the jobs that may be found again."""
    wanted = {
        ".".join(filter(None, ("$", job.get("within"), job["result"]))): job["result"]
        for job in (payload["jobs"] if payload else [])
    }
    return {
        name: wanted[str(state.get("ResultPath"))]
        for name, state in known.items()
        if state.get("ResultPath") in wanted
    }


def _job(name: str, result: str | None, said: Forecast) -> StepForecast:
    if result is None:
        if said.reuse and (said.reuse.get("model") or {}).get("reuse"):
            return StepForecast(name, "skip", str(said.reuse["model"]["why"]))
        return StepForecast(name, "depends", "decided while the run goes")
    if said.reuse is None:
        return StepForecast(
            name, "unknown" if said.why_not else "run", said.why_not or "nothing was made before"
        )
    found = said.reuse.get(result) or {}
    return StepForecast(name, "skip" if found.get("reuse") else "run", str(found.get("why", "")))


def _model(payload: Mapping[str, Any] | None, reuse: Mapping[str, Any] | None) -> Iterator[StepForecast]:
    model = (reuse or {}).get("model") or {}
    why = str(model.get("why", ""))
    if model.get("reuse"):
        yield StepForecast("model", "skip", f"gate and registration: {why}")
        waits = model.get("route") == "approve"
        yield StepForecast("approval", "run" if waits else "skip", "waits for a human" if waits else why)
    else:
        yield StepForecast("model", "run", f"gate and registration{f': {why}' if why else ''}")
        if payload and payload.get("manual"):
            yield StepForecast("approval", "run", "waits for a human")
    yield StepForecast("deploy", "run", "with the model that passes" if not model.get("reuse") else why)


def _states(asl: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, state in asl["States"].items():
        yield name, state
        for branch in branches_of(state):
            yield from _states(branch)
