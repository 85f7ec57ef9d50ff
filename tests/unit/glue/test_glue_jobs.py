"""A job's definition: its defaults, what is refused, and how it is found again."""

from __future__ import annotations

import os
from typing import Any

import pytest
from glue_stubs import Glue

from pipeline.local.glue import capacity, cloudformation
from pipeline.local.glue.errors import (
    AlreadyExistsException,
    EntityNotFoundException,
    IdempotentParameterMismatchException,
    InvalidInputException,
    NotSupported,
    ValidationException,
)

ARN = "arn:aws:glue:eu-west-1:111122223333:job/j"


def test_a_job_has_glue_s_defaults(glue: Glue) -> None:
    glue("CreateJob", Name="j", Role="r", Command={"Name": "glueetl", "ScriptLocation": "s3://b/k.py"})
    job = glue("GetJob", JobName="j")["Job"]
    assert (job["GlueVersion"], job["Timeout"], job["MaxRetries"]) == ("5.1", 480, 0)
    assert (job["WorkerType"], job["NumberOfWorkers"], job["MaxCapacity"]) == ("G.1X", 10, 10)
    assert job["ExecutionProperty"] == {"MaxConcurrentRuns": 1}
    glue.job("old", GlueVersion="4.0")
    assert glue("GetJob", JobName="old")["Job"]["Timeout"] == 2880


def test_an_update_overwrites_all_but_name_and_tags(glue: Glue) -> None:
    glue.job(Tags={"a": "b"}, Timeout=7, DefaultArguments={"--x": "y"})
    command = {"Name": "glueetl", "ScriptLocation": "s3://b/other.py"}
    glue("UpdateJob", JobName="j", JobUpdate={"Role": "other", "Command": command, "AllocatedCapacity": 4})
    job = glue("GetJob", JobName="j")["Job"]
    assert (job["Role"], job["Timeout"], job["NumberOfWorkers"]) == ("other", 480, 4)
    assert not job.get("DefaultArguments") and glue("GetTags", ResourceArn=ARN)["Tags"] == {"a": "b"}
    with pytest.raises(InvalidInputException, match="Command should not be null"):
        glue("UpdateJob", JobName="j", JobUpdate={"Role": "r"})
    with pytest.raises(EntityNotFoundException, match="Job with name: none not found"):
        glue("UpdateJob", JobName="none", JobUpdate={"Role": "r", "Command": command})


def test_a_name_is_taken_once(glue: Glue) -> None:
    glue.job()
    with pytest.raises(AlreadyExistsException):
        glue.job()
    with pytest.raises(IdempotentParameterMismatchException, match="different configuration"):
        glue.job(Timeout=5)
    assert glue("DeleteJob", JobName="j") == glue("DeleteJob", JobName="j") == {"JobName": "j"}
    glue.job()


def test_jobs_are_listed_by_pages_and_tags(glue: Glue) -> None:
    for number in range(5):
        glue.job(f"j{number}", Tags={"odd": str(number % 2)})
    first = glue("GetJobs", MaxResults=3)
    rest = glue("GetJobs", MaxResults=3, NextToken=first["NextToken"])
    names = [job["Name"] for job in first["Jobs"] + rest["Jobs"]]
    assert names == [f"j{number}" for number in range(5)] and "NextToken" not in rest
    assert glue("ListJobs", Tags={"odd": "1"})["JobNames"] == ["j1", "j3"]
    found = glue("BatchGetJobs", JobNames=["j1", "none"])
    assert [job["Name"] for job in found["Jobs"]] == ["j1"] and found["JobsNotFound"] == ["none"]


def test_tags(glue: Glue) -> None:
    glue.job(Tags={"a": "1", "b": "2"})
    glue("TagResource", ResourceArn=ARN, TagsToAdd={"b": "3", "c": "4"})
    glue("UntagResource", ResourceArn=ARN, TagsToRemove=["a", "none"])
    assert glue("GetTags", ResourceArn=ARN)["Tags"] == {"b": "3", "c": "4"}
    with pytest.raises(InvalidInputException):
        glue("TagResource", ResourceArn=ARN, TagsToAdd={"aws:x": "y"})
    with pytest.raises(EntityNotFoundException):
        glue("GetTags", ResourceArn=ARN.replace("/j", "/none"))


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"Command": {"Name": "pythonshell", "ScriptLocation": "s3://b/k"}}, NotSupported),
        ({"Command": {"Name": "glueetl"}}, InvalidInputException),
        ({"Command": {"Name": "other", "ScriptLocation": "s3://b/k"}}, InvalidInputException),
        ({"Connections": {"Connections": ["c"]}}, NotSupported),
        ({"SecurityConfiguration": "s"}, NotSupported),
        ({"DefaultArguments": {"--job-language": "scala"}}, NotSupported),
        ({"DefaultArguments": {"--extra-jars": "s3://b/k.jar"}}, NotSupported),
        ({"MaxRetries": 11}, InvalidInputException),
        ({"ExecutionProperty": {"MaxConcurrentRuns": 0}}, InvalidInputException),
        ({"NumberOfWorkers": None}, InvalidInputException),
        ({"WorkerType": "G.3X"}, ValidationException),
        ({"Timeout": 0}, ValidationException),
        ({"Timout": 1}, ValidationException),
    ],
)
def test_what_is_refused(glue: Glue, more: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        glue.job(**more)
    assert not glue("ListJobs")["JobNames"]


def test_bookmarks_that_are_off_are_no_bookmarks(glue: Glue) -> None:
    glue.job(DefaultArguments={"--job-bookmark-option": "job-bookmark-disable", "--enable-metrics": ""})


def test_workers_are_bounded_by_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.setenv(capacity.MEMORY_VARIABLE, "20000")
    got = capacity.here("G.2X", 3)
    assert (got.cores, got.memory_mb) == (6, 20000)
    assert got.told == "3 x G.2X are 24 vCPUs and 96 GB on AWS; here: 6 cores and a heap of 20000 MiB"
    small = capacity.here("G.025X", 2)
    assert (small.cores, small.memory_mb) == (4, 8192)
    monkeypatch.setenv(capacity.MEMORY_VARIABLE, "10")
    assert capacity.here("G.1X", 2).memory_mb == capacity.LEAST_MB
    monkeypatch.delenv(capacity.MEMORY_VARIABLE)
    for known, given in (((16000, 15000), 4000), ((16000, 6000), 3000), ((1000, 900), 512)):
        monkeypatch.setattr(capacity, "_memory_mb", lambda known=known: known)
        assert capacity.here("G.1X", 2).memory_mb == given
    assert capacity.dpus("G.025X", 4) == 1 and capacity.dpus("G.8X", 2) == 16


def test_a_stack_s_job(glue: Glue, monkeypatch: pytest.MonkeyPatch) -> None:
    from glue_stubs import SCOPE

    from pipeline.local.glue import service
    from pipeline.local.sagemaker.cloudformation import ProvisioningError

    monkeypatch.setattr(service, "current_scope", lambda: SCOPE)
    handler = cloudformation.HANDLERS["AWS::Glue::Job"]
    old = {
        "Role": "r", "Command": {"Name": "glueetl", "ScriptLocation": "s3://b/k.py"}, "Timeout": "30",
        "NumberOfWorkers": "2", "WorkerType": "G.1X", "Tags": {"a": 1, "b": "2"},
        "ExecutionProperty": {"MaxConcurrentRuns": 3}, "DefaultArguments": {"--x": 1},
    }  # fmt: skip
    name, attributes = handler["create"]("Features", old, "stack")
    assert name.startswith("Features-stack-") and attributes == {}
    job = glue("GetJob", JobName=name)["Job"]
    assert (job["Timeout"], job["NumberOfWorkers"], job["DefaultArguments"]) == (30, 2, {"--x": "1"})
    new = {**old, "Timeout": 40, "Tags": {"b": "3"}}
    assert handler["update"](name, old, new, "stack", "Features") == (name, {})
    arn = SCOPE.arn(f"job/{name}")
    assert glue("GetJob", JobName=name)["Job"]["Timeout"] == 40
    assert glue("GetTags", ResourceArn=arn)["Tags"] == {"b": "3"}
    assert handler["update"](name, new, {**new, "Name": "named"}, "stack", "Features")[0] == "named"
    assert glue("ListJobs")["JobNames"] == ["named"]
    with pytest.raises(ProvisioningError, match="Service: AWSGlue; Status Code: 501"):
        handler["create"]("F", {**old, "Connections": {"Connections": ["c"]}}, "stack")
    handler["delete"]("named", new)
    handler["delete"]("named", new)
    assert not glue("ListJobs")["JobNames"]
