"""The program a Lambda function of the local target runs in: one JSON line in, one out.

Given to MiniStack as text (see `lambdas.py`), so it stands alone: standard library only. It differs from
MiniStack's own in what AWS's runtime does: errors carry their class and stack, nothing of the host's Python
is importable but what AWS puts into its image, and nothing of the host's environment is seen.
"""

# mypy: disable-error-code="no-untyped-def"

import importlib
import importlib.abc
import importlib.machinery
import json
import os
import sys
import time
import traceback

# What AWS's Python runtimes bring along besides the standard library.
PROVIDED = {"boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3", "_distutils_hack"}
KEPT = (
    "AWS_",
    "_LAMBDA",
    "LAMBDA_",
    "PIPELINE_LOCAL_OWNER",
    "_MINISTACK",
    "_X_AMZN",
    "LC_",
    "SSL_",
    "REQUESTS_CA",
)
KEPT_NAMES = {"PATH", "LANG", "TZ", "TMPDIR", "NO_PROXY", "no_proxy", "HTTPS_PROXY", "https_proxy"}
# Behind each invocation's log, so that its reader knows when it has all of it.
LOG_END = "\x1eend of invocation"


class OnlyProvided(importlib.abc.MetaPathFinder):
    """Refuses top-level modules that are neither the function's, a layer's, standard, nor AWS's."""

    def __init__(self, folders):
        self.folders = folders

    def find_spec(self, name, path, target=None):  # noqa: ARG002 - the protocol's signature
        if path is not None or name in sys.stdlib_module_names or name in PROVIDED:
            return
        if importlib.machinery.PathFinder.find_spec(name, self.folders) is not None:
            return
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def said(error):
    """The error as AWS's runtime reports it; the stack begins in the function's own code."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename != __file__ and "importlib" not in frame.filename]
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "stackTrace": traceback.format_list(own),
    }


def load(init):
    module_name, handler_name = init["module"], init["handler"]
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        return None, {
            "errorMessage": f"Unable to import module '{module_name}': {error}",
            "errorType": "Runtime.ImportModuleError",
            "stackTrace": [],
        }
    except SyntaxError as error:
        return None, {
            "errorMessage": f"Syntax error in module '{module_name}': {error}",
            "errorType": "Runtime.UserCodeSyntaxError",
            "stackTrace": [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'],
        }
    except Exception as error:  # noqa: BLE001 - whatever the function's module raises
        return None, said(error)
    if not hasattr(module, handler_name):
        return None, {
            "errorMessage": f"Handler '{handler_name}' missing on module '{module_name}'",
            "errorType": "Runtime.HandlerNotFound",
            "stackTrace": [],
        }
    return getattr(module, handler_name), None


def context_of(init, call):
    deadline = time.time() + float(os.environ.get("_LAMBDA_TIMEOUT", "3"))
    name = init.get("function_name", "")
    return type(
        "LambdaContext",
        (),
        {
            "function_name": name,
            "function_version": os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            "invoked_function_arn": call.get("invoked_function_arn") or init.get("arn", ""),
            "memory_limit_in_mb": str(init.get("memory", 128)),
            "aws_request_id": call.get("request_id", ""),
            "log_group_name": os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME", f"/aws/lambda/{name}"),
            "log_stream_name": os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", ""),
            "identity": None,
            "client_context": None,
            "get_remaining_time_in_millis": lambda _: max(0, int((deadline - time.time()) * 1000)),
        },
    )()


def answer(handler, event, context):
    try:
        result = handler(event, context)
    except Exception as error:  # noqa: BLE001 - whatever the handler raises is its answer
        return {"status": "error", "raised": said(error)}
    try:
        return json.loads(json.dumps({"status": "ok", "result": result}))
    except (TypeError, ValueError) as error:
        raised = {"errorMessage": f"Unable to marshal response: {error}", "errorType": "Runtime.MarshalError"}
        return {"status": "error", "raised": {**raised, "stackTrace": []}}


def run():
    protocol, sys.stdout = sys.stdout, sys.stderr  # what the function prints is its log

    def tell(message):
        if "raised" in message:
            raised = message["raised"]
            message["error"], message["trace"] = raised["errorMessage"], ""
            print(f"[ERROR] {raised['errorType']}: {raised['errorMessage']}", file=sys.stderr)
            if raised["stackTrace"]:
                print("Traceback (most recent call last):\n" + "".join(raised["stackTrace"]), file=sys.stderr)
        if message["status"] != "ready":
            print(LOG_END, file=sys.stderr)
        sys.stderr.flush()
        protocol.write(json.dumps(message) + "\n")
        protocol.flush()

    init = json.loads(sys.stdin.readline())
    own = init.get("env") or {}
    for name in list(os.environ):
        if name not in KEPT_NAMES and not name.startswith(KEPT):
            del os.environ[name]
    os.environ.update(own)
    folders = [init["code_dir"]]
    for layer in filter(None, os.environ.get("_LAMBDA_LAYERS_DIRS", "").split(os.pathsep)):
        folders += [layer + "/python", layer]
    sys.path[:0] = folders
    sys.meta_path.insert(0, OnlyProvided(folders))
    handler, failed = load(init)
    # An error while loading is told at the first invocation, as AWS does.
    tell({"status": "ready", "cold": True})
    for line in sys.stdin:
        message = json.loads(line)
        call = message.get("ctx") or {}
        if failed is not None:
            tell({"status": "error", "raised": failed})
            continue
        if call.get("trace_id"):
            os.environ["_X_AMZN_TRACE_ID"] = call["trace_id"]
        tell(answer(handler, message["event"], context_of(init, call)))


run()
