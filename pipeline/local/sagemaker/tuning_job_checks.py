"""What CreateHyperParameterTuningJob refuses beyond the model's constraints, and the undoable here.

Texts in AWS's words are those seen in its answers; limits:
https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-warm-start.html,
.../automatic-model-tuning-define-ranges.html, and botocore's model.
"""

from __future__ import annotations

from typing import Any

from pipeline.local.sagemaker import tuning_job_told as told
from pipeline.local.sagemaker.errors import NotSupported, ValidationException
from pipeline.local.sagemaker.store import Scope, store
from pipeline.local.sagemaker.training_job_contract import OBJECTIVE
from pipeline.local.sagemaker.training_job_metrics import with_own
from pipeline.local.sagemaker.transitions import final
from pipeline.local.sagemaker.tuning_search import Resource
from pipeline.local.sagemaker.tuning_space import Parameter, combinations, parameters

MOST_HYPERPARAMETERS = 30
_MOST_EPOCHS = 20_000
# Where Hyperband infers its MaxResource from.
_EPOCHS = ("epochs", "numepochs", "n-epochs", "n_epochs", "num_epochs")


def check(request: dict[str, Any]) -> None:
    """Raise NotSupported or ValidationException for a request that cannot be run as asked."""
    for member, feature in (
        ("Autotune", "Autotune of a tuning job"),
        ("TrainingJobDefinitions", "TrainingJobDefinitions (tuning several algorithms in one job)"),
    ):
        if request.get(member):
            raise NotSupported(feature)
    config = request["HyperParameterTuningJobConfig"]
    definition = request.get("TrainingJobDefinition")
    if not definition:
        raise ValidationException("TrainingJobDefinition is required to create a hyperparameter tuning job.")
    for member in ("TuningObjective", "HyperParameterRanges"):
        if definition.get(member):
            raise ValidationException(
                f"{member} can only be given in TrainingJobDefinitions; use HyperParameterTuningJobConfig."
            )
    criteria = config.get("TuningJobCompletionCriteria") or {}
    if (criteria.get("ConvergenceDetected") or {}).get("CompleteOnConvergence") == "Enabled":
        raise NotSupported("TuningJobCompletionCriteria.ConvergenceDetected")
    _objective(config, definition)
    space = space_of(config)
    _ranges(space, definition.get("StaticHyperParameters") or {})
    _strategy(config, space)
    resource_of(request)


def space_of(config: dict[str, Any]) -> list[Parameter]:
    """The searched hyperparameters; raises ValidationException for a bound that is none."""
    ranges = config.get("ParameterRanges") or {}
    if ranges.get("AutoParameters"):
        raise NotSupported("ParameterRanges.AutoParameters")
    try:
        return parameters(ranges)
    except ValueError as error:
        raise ValidationException(str(error)) from None


def resource_of(request: dict[str, Any]) -> Resource | None:
    """Hyperband's resources, told or inferred; None for another strategy. Raises ValidationException."""
    config = request["HyperParameterTuningJobConfig"]
    given = (config.get("StrategyConfig") or {}).get("HyperbandStrategyConfig")
    if config["Strategy"] != "Hyperband":
        if given:
            raise ValidationException(
                "HyperbandStrategyConfig can only be provided when the strategy is Hyperband."
            )
        return None
    given = given or {}
    most = given.get("MaxResource")
    if most is None:
        static = request["TrainingJobDefinition"].get("StaticHyperParameters") or {}
        told_by = [static[name].strip('"') for name in _EPOCHS if name in static]
        most = next((int(text) for text in told_by if text.isdigit()), None)
    if not most:
        raise ValidationException(
            "MaxResource must be provided for Hyperband, or be inferable from one of the static "
            f"hyperparameters {', '.join(_EPOCHS)}."
        )
    least = given.get("MinResource") or 1
    if most > _MOST_EPOCHS:
        raise ValidationException(f"MaxResource {most} must be less than or equal to {_MOST_EPOCHS}.")
    if least > most:
        raise ValidationException(f"MinResource {least} must be less than or equal to MaxResource {most}.")
    return Resource(least, most)


def check_parents(request: dict[str, Any], scope: Scope) -> None:
    """Raise for parents that are not there, still run, or searched for something else."""
    warm = request.get("WarmStartConfig")
    if not warm:
        return
    config = request["HyperParameterTuningJobConfig"]
    if config["Strategy"] == "Grid":
        raise NotSupported("WarmStartConfig with the strategy Grid")
    mine = _kinds(request)
    for each in warm["ParentHyperParameterTuningJobs"]:
        name = each.get("HyperParameterTuningJobName", "")
        parent = store.get(scope, told.KIND, name)
        if parent is None:
            raise ValidationException(f"Parent hyperparameter tuning job {name} does not exist.")
        if not final(told.STATUS, parent[told.STATUS]):
            raise ValidationException(
                f"Parent hyperparameter tuning job {name} must be in a terminal state (Completed, Stopped, "
                f"or Failed); it is {parent[told.STATUS]}."
            )
        objective = config["HyperParameterTuningJobObjective"]
        if told.objective_of(parent) != objective:
            raise ValidationException(
                f"The objective metric of the tuning job must be the same as that of its parent {name}."
            )
        theirs = _kinds(parent)
        if len(theirs) != len(mine):
            raise ValidationException(
                "The total number of static plus tunable hyperparameters must remain the same between parent "
                f"jobs and the new tuning job: {len(theirs)} in {name}, {len(mine)} now."
            )
        changed = [n for n, kind in mine.items() if {kind, theirs.get(n, kind)} - {""} > {kind}]
        if changed:
            raise ValidationException(
                f"The type of the hyperparameter {changed[0]} must not change between {name} and the new job."
            )


def _kinds(request: dict[str, Any]) -> dict[str, str]:
    """Every hyperparameter of a tuning job and its kind, which is not known of static ones."""
    static = request["TrainingJobDefinition"].get("StaticHyperParameters") or {}
    kinds = {name: "" for name in static if name != OBJECTIVE}
    return kinds | {each.name: each.kind for each in space_of(request["HyperParameterTuningJobConfig"])}


def _objective(config: dict[str, Any], definition: dict[str, Any]) -> None:
    objective = config.get("HyperParameterTuningJobObjective")
    if not objective:
        raise ValidationException("HyperParameterTuningJobObjective is required for this tuning job.")
    metrics = with_own(definition["AlgorithmSpecification"]).get("MetricDefinitions") or []
    if objective["MetricName"] not in [each["Name"] for each in metrics]:
        raise ValidationException(
            "A metric is required for this hyperparameter tuning job objective. Provide a metric in the "
            "metric definitions."
        )


def _ranges(space: list[Parameter], static: dict[str, str]) -> None:
    if not space:
        raise ValidationException("At least one hyperparameter range is required.")
    names = [each.name for each in space]
    for name in sorted({name for name in names if names.count(name) > 1}):
        raise ValidationException(f"The hyperparameter {name} has more than one range.")
    for name in sorted(set(names) & set(static)):
        raise ValidationException(f"The hyperparameter {name} is both static and in a range.")
    if len(names) > MOST_HYPERPARAMETERS:
        raise ValidationException(
            f"{len(names)} hyperparameters are searched; the maximum of all ranges is {MOST_HYPERPARAMETERS}."
        )
    for each in space:
        if each.kind == "Categorical":
            continue
        where = f"the range of the hyperparameter {each.name}"
        if each.low > each.high:
            raise ValidationException(f"MinValue must be less than or equal to MaxValue in {where}.")
        if each.scaling == "Logarithmic" and each.low <= 0:
            raise ValidationException(f"Logarithmic scaling needs values greater than 0 in {where}.")
        if each.scaling == "ReverseLogarithmic" and (
            each.kind == "Integer" or not 0 <= each.low <= each.high < 1
        ):
            raise ValidationException(
                f"Reverse logarithmic scaling needs a continuous range within 0<=x<1.0 in {where}."
            )


def _strategy(config: dict[str, Any], space: list[Parameter]) -> None:
    limits, strategy = config["ResourceLimits"], config["Strategy"]
    most = limits.get("MaxNumberOfTrainingJobs")
    if strategy == "Hyperband" and config.get("TrainingJobEarlyStoppingType") == "Auto":
        raise ValidationException("TrainingJobEarlyStoppingType must be OFF to use Hyperband.")
    possible = combinations(space)
    if strategy == "Grid":
        if any(each.kind != "Categorical" for each in space):
            raise ValidationException("Only categorical parameters are supported with the Grid strategy.")
        if most is not None and most != possible:
            raise ValidationException(
                f"MaxNumberOfTrainingJobs [{most}] must equal the number of combinations of the categorical "
                f"values [{possible:g}] with the Grid strategy."
            )
        return
    if most is None:
        criteria = config.get("TuningJobCompletionCriteria") or {}
        if not (limits.get("MaxRuntimeInSeconds") or criteria):
            raise ValidationException(
                "MaxNumberOfTrainingJobs, MaxRuntimeInSeconds or TuningJobCompletionCriteria is required."
            )
    elif possible < most:
        raise ValidationException(
            "You don't have enough combinations of hyperparameter ranges. The total number of hyperparameter "
            f"combinations for the provided ranges [{possible:.1f}] must be equal or greater than the value "
            f"of MaxNumberOfJobs, [{most}]. Provide additional ranges."
        )
