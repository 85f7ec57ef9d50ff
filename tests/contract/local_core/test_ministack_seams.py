"""Every private part of MiniStack that the adapter builds on, one test each: an upgrade that moves one fails.

MiniStack reads its settings at import and our adapter changes it, so each test looks at a fresh process.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


# Imports MiniStack once and forks for every test, whose code then finds it as it comes.
ZYGOTE = """
import inspect, json, os, sys, traceback
import ministack.services.cloudformation
from ministack import app
for line in sys.stdin:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            exec(json.loads(line), {"inspect": inspect, "json": json})
            said = ""
        except BaseException:
            said = traceback.format_exc()
        with os.fdopen(writing, "w") as stream:
            stream.write(said)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        print(json.dumps(stream.read()), flush=True)
    os.waitpid(child, 0)
"""
ENVIRONMENT = {"AUTH": "true", "PATH": "/usr/bin:/bin"}

Holds = Callable[[str], None]


@pytest.fixture(scope="module")
def holds() -> Iterator[Holds]:
    """The code's asserts hold, in a process of its own."""
    zygote = subprocess.Popen(
        [sys.executable, "-c", ZYGOTE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        env=ENVIRONMENT,
    )
    assert zygote.stdin
    assert zygote.stdout
    given, answers = zygote.stdin, zygote.stdout

    def check(code: str) -> None:
        given.write(json.dumps(textwrap.dedent(code)) + "\n")
        given.flush()
        said = json.loads(answers.readline())
        assert not said, said

    yield check
    given.close()
    zygote.wait(10)


def test_the_installed_version_is_the_locked_one() -> None:
    locked = re.search(r"^ministack==(\S+)", (ROOT / "requirements.lock").read_text(), re.M)
    assert locked
    assert importlib.metadata.version("ministack") == locked[1].rstrip("\\").strip()


def test_settings_come_from_the_environment_at_import(tmp_path: Path) -> None:
    code = """
        from ministack import app
        from ministack.core import persistence
        from ministack.services import lambda_svc, s3
        print(app.AUTH, persistence.PERSIST_STATE, persistence.STATE_DIR, s3.S3_PERSIST, s3.DATA_DIR)
        print(app._MINISTACK_HOST, app._resolve_port(), lambda_svc.LAMBDA_EXECUTOR)
        """
    variables = {
        "PERSIST_STATE": "1", "STATE_DIR": str(tmp_path),
        "S3_PERSIST": "1", "S3_DATA_DIR": str(tmp_path / "s3"),
        "MINISTACK_HOST": "127.0.0.1", "GATEWAY_PORT": "4999", "LAMBDA_EXECUTOR": "local",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**ENVIRONMENT, **variables},
    )
    assert done.stdout.split() == [
        "True",
        "True",
        str(tmp_path),
        "True",
        str(tmp_path / "s3"),
        "127.0.0.1",
        "4999",
        "local",
    ]


def test_the_table_of_services(holds: Holds) -> None:
    holds(
        """
        from ministack import app
        from pipeline.local.adapter.registry import OFFERED
        assert set(OFFERED) <= set(app.SERVICE_REGISTRY), OFFERED - set(app.SERVICE_REGISTRY)
        assert all(isinstance(entry["module"], str) for entry in app.SERVICE_REGISTRY.values())
        assert set(app.SERVICE_HANDLERS) == set(app.SERVICE_REGISTRY)
        assert isinstance(app._loaded_modules, dict)
        assert app._registry_state_map() == app._state_map
        source = inspect.getsource(app._dispatch_service_request)
        assert "SERVICE_HANDLERS.get(service)" in source
        """
    )


def test_a_handler_is_an_async_function_of_five(holds: Holds) -> None:
    holds(
        """
        import asyncio
        from ministack import app
        handler = app.SERVICE_HANDLERS["ecr"]
        assert asyncio.iscoroutinefunction(handler)
        names = list(inspect.signature(handler).parameters)
        assert names == ["method", "path", "headers", "body", "query_params"]
        """
    )


def test_routing(holds: Holds) -> None:
    holds(
        """
        from ministack import app
        from ministack.core import router
        entry = router.SERVICE_PATTERNS["ssm"]
        assert {"target_prefixes", "host_patterns"} & set(entry)
        assert "sagemaker" not in router.SERVICE_PATTERNS, "MiniStack has a SageMaker now: who answers?"
        assert "sagemaker" not in app.SERVICE_REGISTRY
        router.SERVICE_PATTERNS["sagemaker"] = {"target_prefixes": ["SageMaker."], "host_patterns": []}
        headers = {"authorization": "AWS4-HMAC-SHA256 Credential=1/2/eu-west-1/sagemaker/aws4_request"}
        target = {"x-amz-target": "SageMaker.ListModels"}
        assert app.detect_service("POST", "/", {**headers, **target}, {}) == "sagemaker"
        assert app.detect_service("POST", "/endpoints/x/invocations", headers, {}) == "sagemaker"
        assert "detect_service(" in inspect.getsource(app._dispatch_service_request)
        assert callable(router._is_aws_service_name)
        """
    )


def test_content_types_are_set_by_functions_of_the_application(holds: Holds) -> None:
    holds(
        """
        from ministack import app
        for name in ("fix_success_content_type", "fix_error_content_type"):
            assert list(inspect.signature(getattr(app, name)).parameters) == ["service", "status", "headers"]
            assert name + "(" in inspect.getsource(app._dispatch_service_request)
        """
    )


def test_sagemaker_is_authenticated_but_not_authorised_before_our_service(holds: Holds) -> None:
    # Our service weighs each operation on its own ARN; MiniStack would weigh it on "*".
    holds(
        """
        from ministack.core import iam_actions
        assert "sagemaker" not in iam_actions.SERVICE_TO_IAM_NAMESPACE
        from ministack import app
        assert "_authenticate_only(service" in inspect.getsource(app._dispatch_service_request)
        """
    )


def test_the_origin_of_a_request(holds: Holds) -> None:
    holds(
        """
        from ministack import app
        from ministack.core import iam_evaluator
        assert list(inspect.signature(app.pin_request_origin).parameters) == ["source_ip", "secure_transport"]
        assert "pin_request_origin(" in inspect.getsource(app.app)
        iam_evaluator.pin_request_origin("127.0.0.1", True)
        context = iam_evaluator.EvalContext("p", "Root", "1", "s3:GetObject", "*", "r")
        assert iam_evaluator._resolve_condition_key("aws:SecureTransport", context) == "true"
        """
    )


def test_containers_of_others_are_reaped_behind_one_question(holds: Holds) -> None:
    holds(
        """
        from ministack import app
        assert not inspect.signature(app._docker_socket_present).parameters
        for function in (app._reaper_docker_client, app._handle_lifespan):
            assert "_docker_socket_present()" in inspect.getsource(function)
        """
    )


def test_doors_without_credentials(holds: Holds) -> None:
    holds(
        """
        from ministack import app
        assert '"/_ministack/reset"' in inspect.getsource(app._handle_admin_reset)
        assert '"/_ministack/config"' in inspect.getsource(app._handle_admin_config_request)
        """
    )


def test_loading_and_saving_state(holds: Holds) -> None:
    holds(
        """
        from ministack import app
        from ministack.core import persistence, responses
        assert "load_state(state_key)" in inspect.getsource(app._load_persisted_state)
        assert "save_all(" in inspect.getsource(app._handle_lifespan)
        assert callable(app._build_persistence_save_dict)
        stored = responses.AccountRegionScopedDict()
        stored._data[("1", "r", ("a", 2))] = {"bytes": b"x"}
        text = json.dumps({"s": stored}, default=persistence._json_default)
        again = json.loads(text, object_hook=persistence._json_object_hook)
        assert again["s"]._data == stored._data
        """
    )


@pytest.mark.parametrize("name", ["stepfunctions", "cloudwatch_logs", "cloudwatch", "iam", "ssm", "sns"])
def test_a_state_is_a_dictionary_of_copied_stores(holds: Holds, name: str) -> None:
    # `state._cheap` runs get_state without the copies; a get_state that does more is called as it is.
    holds(
        f"""
        import ministack.services.{name} as module
        names = set(module.get_state.__code__.co_names)
        assert {{"copy", "deepcopy"}} <= names
        assert all(each.startswith("_") for each in names - {{"copy", "deepcopy"}}), names
        assert isinstance(module.get_state(), dict)
        """
    )


def test_executions_and_log_streams_are_where_they_were(holds: Holds) -> None:
    holds(
        """
        from ministack.services import cloudwatch_logs, stepfunctions
        from ministack.core.responses import AccountRegionScopedDict
        assert "executions" in stepfunctions.get_state()
        assert {"log_groups", "log_records"} <= set(cloudwatch_logs.get_state())
        assert isinstance(stepfunctions._executions, AccountRegionScopedDict)
        assert cloudwatch_logs._create_log_stream
        cloudwatch_logs._create_log_group({"logGroupName": "g"})
        cloudwatch_logs._create_log_stream({"logGroupName": "g", "logStreamName": "s"})
        cloudwatch_logs._put_log_events(
            {"logGroupName": "g", "logStreamName": "s", "logEvents": [{"timestamp": 1, "message": "m"}]}
        )
        stream = cloudwatch_logs._log_groups["g"]["streams"]["s"]
        assert {"events", "creationTime", "lastIngestionTime"} <= set(stream), stream
        assert len(stream["events"]) == 1
        """
    )


def test_cloudformations_stacks_are_loaded_at_import(holds: Holds) -> None:
    holds(
        """
        import ministack.services.cloudformation as cloudformation
        assert callable(cloudformation.load_persisted_state)
        assert hasattr(cloudformation._stacks, "_data")
        """
    )


def test_the_modules_that_wait_until_they_are_used_exist(holds: Holds) -> None:
    holds(
        """
        import importlib.util
        from pipeline.local.adapter.imports import LAZY
        theirs = [name for name in LAZY if name.startswith("ministack.")]
        missing = [name for name in theirs if not importlib.util.find_spec(name)]
        assert not missing, missing
        """
    )


def test_resource_types(holds: Holds) -> None:
    holds(
        """
        from ministack.services.cloudformation import provisioners, stacks
        from pipeline.local.adapter.types import _WRAPPED
        handlers = provisioners._RESOURCE_HANDLERS
        for name in _WRAPPED:
            assert {"create", "update", "delete"} <= set(handlers[name])
            assert list(inspect.signature(handlers[name]["create"]).parameters) == [
                "logical_id", "props", "stack_name"]
            assert handlers[name]["update_with_logical_id"] is True
            assert list(inspect.signature(handlers[name]["update"]).parameters) == [
                "physical_id", "old_props", "new_props", "stack_name", "logical_id"]
        assert not [name for name in handlers if name.startswith("AWS::SageMaker::")]
        assert stacks._runs_on_worker_thread("AWS::CloudFormation::WaitCondition") is True
        assert stacks._runs_on_worker_thread("AWS::SageMaker::Model") is False
        """
    )


@pytest.mark.parametrize(
    "name",
    [
        "AWS::CloudWatch::Alarm",
        "AWS::ECR::Repository",
        "AWS::Events::Rule",
        "AWS::IAM::Role",
        "AWS::KMS::Alias",
        "AWS::KMS::Key",
        "AWS::Lambda::Function",
        "AWS::Logs::LogGroup",
        "AWS::S3::Bucket",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::Subscription",
        "AWS::SNS::Topic",
        "AWS::SNS::TopicPolicy",
        "AWS::SSM::Parameter",
        "AWS::Scheduler::Schedule",
        "AWS::StepFunctions::StateMachine",
    ],
)
def test_a_type_of_our_templates(holds: Holds, name: str) -> None:
    holds(
        f"""
        from ministack.services.cloudformation.provisioners import _RESOURCE_HANDLERS
        assert {{"create", "delete"}} <= set(_RESOURCE_HANDLERS[{name!r}])
        """
    )


def test_code_of_a_function_in_s3(holds: Holds) -> None:
    holds(
        """
        from ministack.services import lambda_svc
        assert "version_id" in inspect.signature(lambda_svc._fetch_code_from_s3).parameters
        assert lambda_svc._fetch_code_from_s3("no-such-bucket", "k", version_id=None) is None
        """
    )


def test_template_checks(holds: Holds) -> None:
    holds(
        """
        from ministack.services.cloudformation import engine
        assert list(inspect.signature(engine._validate_template_statics).parameters) == ["template"]
        own = [f for f in vars(engine).values() if inspect.isfunction(f) and f.__module__ == engine.__name__]
        callers = [f for f in own if "_validate_template_statics(template)" in inspect.getsource(f)]
        assert callers
        """
    )


def test_lambda_workers(holds: Holds) -> None:
    holds(
        """
        from ministack.core import lambda_runtime
        from ministack.services import lambda_svc
        binary, script = lambda_runtime._detect_runtime_binary("python3.11")
        assert binary and "sys.stdin.readline()" in script
        assert "_detect_runtime_binary(" in inspect.getsource(lambda_runtime.Worker._spawn)
        assert "request_id" in inspect.signature(lambda_runtime.Worker.invoke).parameters
        assert list(inspect.signature(lambda_svc._execute_function_warm).parameters) == [
            "func", "event", "request_id"]
        assert "self._drain_stderr_bounded()" in inspect.getsource(lambda_runtime.Worker.invoke)
        assert "_stderr_queue.put(" in inspect.getsource(lambda_runtime.Worker._read_stderr)
        source = inspect.getsource(lambda_runtime.Worker)
        for part in ('"code_dir"', '"module"', '"handler"', '"env"', '"function_name"', '"memory"', '"arn"',
                     '"ctx"', '"event"', '"request_id"', '"status"', "Worker process died",
                     "Task timed out after"):
            assert part in source, part
        """
    )


def test_workers_are_pooled_and_ended_together(holds: Holds) -> None:
    holds(
        """
        from ministack.core import lambda_runtime
        assert lambda_runtime._workers == {}
        assert lambda_runtime._lock.acquire(blocking=False)
        lambda_runtime._lock.release()
        assert list(inspect.signature(lambda_runtime.kill_workers).parameters) == ["workers"]
        """
    )


def test_a_function_runs_as_its_role(holds: Holds) -> None:
    holds(
        """
        from ministack.core import lambda_runtime
        from ministack.services import sts
        config = {"Role": "arn:aws:iam::111122223333:role/r", "FunctionName": "f",
                  "FunctionArn": "arn:aws:lambda:eu-west-1:111122223333:function:f"}
        given = lambda_runtime.execution_credentials(config)
        session = sts._sessions[given["AWS_ACCESS_KEY_ID"]]
        assert session["Arn"] == "arn:aws:sts::111122223333:assumed-role/r/f"
        """
    )


def test_sessions_and_roles(holds: Holds) -> None:
    holds(
        """
        from ministack.core import iam_evaluator
        from ministack.services import iam, sts
        assert list(inspect.signature(sts.register_session).parameters) == ["access_key", "session"]
        assert iam._roles.get_scoped("111122223333", None, "none") is None
        principal = {"Service": "lambda.amazonaws.com"}
        assert iam_evaluator._service_principal_matches(principal, "lambda.amazonaws.com")
        assert iam_evaluator._action_matches("sts:AssumeRole", ["sts:*"], [])
        assert list(inspect.signature(iam_evaluator.enforce).parameters)[:5] == [
            "access_key_id", "iam_action", "service", "region", "resource_arn"]
        context = iam_evaluator.EvalContext(
            principal_arn="p", principal_type="Service", principal_account="1", action="sts:AssumeRole",
            resource_arn="*", region="", service_context={"aws:sourceaccount": "1"})
        assert iam_evaluator._conditions_met({"StringEquals": {"aws:SourceAccount": "1"}}, context)
        assert not iam_evaluator._conditions_met({"StringEquals": {"aws:SourceAccount": "2"}}, context)
        """
    )


def test_images(holds: Holds) -> None:
    holds(
        """
        from ministack.services import ecr
        ecr._create_repository({"repositoryName": "r"})
        assert ecr._images["r"] == []
        assert ecr._images.get_scoped("000000000000", "us-east-1", "r") == []
        ecr._put_image({"repositoryName": "r", "imageManifest": "{}", "imageTag": "t"})
        image = ecr._find_image("r", {"imageTag": "t"})
        assert set(image) == {
            "registryId", "repositoryName", "imageId", "imageManifest", "imageManifestMediaType", "imageTags",
            "imagePushedAt", "imageDigest"}
        assert ecr._registry_id() == "000000000000"
        """
    )


def test_an_executions_status_is_told_by_one_function(holds: Holds) -> None:
    holds(
        """
        from ministack.services import cloudwatch, stepfunctions
        assert len(inspect.signature(stepfunctions._emit_execution_status_event).parameters) == 1
        assert list(inspect.signature(cloudwatch.record_metric).parameters) == [
            "namespace", "metric_name", "value", "unit", "dimensions"]
        """
    )


def test_alarms(holds: Holds) -> None:
    holds(
        """
        from ministack.services import cloudwatch
        assert list(inspect.signature(cloudwatch._evaluate_alarm).parameters) == ["alarm"]
        assert "_evaluate_alarm(alarm)" in inspect.getsource(cloudwatch._evaluate_all_alarms)
        cloudwatch.record_metric("N", "M", 2.0, "Count", {"D": "1"})
        points = cloudwatch._metrics.get(("N", "M", cloudwatch._dims_key({"D": "1"})))
        stats = cloudwatch._calc_stats(list(points))
        assert cloudwatch._stat_value(stats, "Sum", points) == 2.0
        assert points[0]["Timestamp"] > 1e9
        for name in ("_record_history", "_dispatch_alarm_actions", "_evaluate_parent_alarms"):
            assert callable(getattr(cloudwatch, name))
        assert hasattr(cloudwatch._alarms, "_data")
        """
    )


def test_targets_of_rules_and_schedules(holds: Holds) -> None:
    holds(
        """
        from ministack.services import eventbridge, scheduler
        names = list(inspect.signature(eventbridge._invoke_target).parameters)
        assert names == ["target", "event", "rule", "view"]
        source = inspect.getsource(scheduler._tick_schedules)
        assert "_eb._invoke_target(target, event, sched)" in source
        assert '"Source": "aws.scheduler"' in source
        assert isinstance(scheduler._SCHEDULE_TICK_INTERVAL, int)
        assert "time.sleep(_SCHEDULE_TICK_INTERVAL)" in inspect.getsource(scheduler._ticker_loop)
        """
    )


def test_web_identity_is_sts_handler_over_the_providers_of_iam(holds: Holds) -> None:
    holds(
        """
        from ministack.services import iam, sts
        from ministack.core.responses import set_request_account_id
        assert list(inspect.signature(sts.handle_request).parameters) == [
            "method", "path", "headers", "body", "query_params"]
        set_request_account_id("111122223333")
        iam._create_oidc_provider({"Url": ["https://a.b"], "ClientIDList.member.1": ["c"]})
        ((key, record),) = iam._oidc_providers._data.items()
        assert key == ("111122223333", "arn:aws:iam::111122223333:oidc-provider/a.b")
        assert (record["Url"], record["ClientIDList"]) == ("https://a.b", ["c"])
        assert callable(iam._now) and callable(iam.policy_known)
        """
    )


def test_a_roles_boundary_is_a_limit_of_the_evaluator(holds: Holds) -> None:
    holds(
        """
        from ministack.core import iam_evaluator
        from ministack.services import iam
        assert "PermissionsBoundary" in inspect.getsource(iam_evaluator._permissions_boundary)
        assert "_permissions_boundary(iam_svc._roles" in inspect.getsource(iam_evaluator.resolve_principal)
        """
    )


def test_budgets_answers_as_a_service(holds: Holds) -> None:
    holds(
        """
        from ministack.services import budgets
        for name in ("_create_budget", "_update_budget", "_delete_budget"):
            assert list(inspect.signature(getattr(budgets, name)).parameters) == ["data"]
        status, headers, body = budgets._create_budget({})
        assert status == 400 and json.loads(body)
        """
    )


def test_who_changes_a_stack_is_whose_signature_was_verified(holds: Holds) -> None:
    holds(
        """
        from ministack.core import iam_evaluator as evaluator
        from ministack.services import cloudformation, iam
        assert evaluator._verified_key.get() == ""
        assert "_verified_key.set(request.access_key_id)" in inspect.getsource(evaluator)
        resolve = inspect.signature(evaluator.resolve_principal)
        assert list(resolve.parameters)[:2] == ["access_key_id", "account_id"]
        assert list(inspect.signature(evaluator._resolve_condition_key).parameters) == ["key", "ctx"]
        assert list(inspect.signature(evaluator.enforce).parameters) == [
            "access_key_id", "iam_action", "service", "region", "resource_arn", "service_context"]
        assert "create_task(coro)" in inspect.getsource(cloudformation.stacks)
        assert hasattr(cloudformation._change_sets, "get")
        assert "SimulatePrincipalPolicy" in iam._IAM_HANDLERS
        for name in ("_gather_role_policies", "_gather_user_policies", "_permissions_boundary", "evaluate"):
            assert callable(getattr(evaluator, name))
        """
    )
