"""Loading settings: overlays and where values come from; every error at once, with its place."""
# ruff: noqa: E501 - the table of cases reads better in one line each

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.errors import ErrorGroup, SettingsError
from pipeline.settings import environments, explain, find_root, load, names, project

PROJECT = """\
[project]
name = "shop"

[defaults]
region = "eu-west-1"

[defaults.training]
instance_type = "ml.c5.large"
max_runtime_seconds = 600

[defaults.tags]
team = "ml"

[environments.dev]
account = "111111111111"

[environments.production]
account = "333333333333"
region = "eu-central-1"

[environments.production.training]
max_runtime_seconds = 7200

[environments.production.tags]
tier = "gold"
"""

SETTINGS = """\
container = "sales"

[hyperparameters]
depth = 3

[data.channels.train]
prefix = "train"

[data.channels.test]
prefix = "test"
use = "evaluate"

[[gate]]
metric = "rmse"
maximum = 1400

[smoke]
body = "1,2"

[environments.production]
[environments.production.hyperparameters]
depth = 9

[[environments.production.gate]]
metric = "rmse"
maximum = 1000.5
"""


def write(root: Path, project: str = PROJECT, settings: str = SETTINGS, name: str = "sales") -> Path:
    (root / "pipeline.toml").write_text(project)
    folder = root / "pipeline" / "definitions" / name
    folder.mkdir(parents=True)
    (folder / "settings.toml").write_text(settings)
    return root


def errors(root: Path, environment: str | None = None) -> list[str]:
    with pytest.raises(ErrorGroup) as caught:
        load(root, "sales", environment)
    assert all(isinstance(error, SettingsError) for error in caught.value.errors)
    assert caught.value.exit_code == 2
    return [str(error) for error in caught.value.errors]


def line_of(text: str, needle: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if needle in line)


def test_layers_merge_key_by_key_and_lists_are_replaced(tmp_path: Path) -> None:
    root = write(tmp_path)
    dev, production = load(root, "sales"), load(root, "sales", "production")
    assert (dev.environment_name, dev.stack_name) == ("dev", "sales-dev")
    assert dev.environment.training.instance_type == "ml.c5.large"
    assert dev.environment.training.max_runtime_seconds == 600
    assert production.environment.training.instance_type == "ml.c5.large"
    assert production.environment.training.max_runtime_seconds == 7200
    assert production.environment.tags == {"team": "ml", "tier": "gold"}
    assert production.pipeline.hyperparameters == {"depth": 9}
    assert [rule.maximum for rule in production.pipeline.gate] == [1000.5]
    assert [rule.maximum for rule in dev.pipeline.gate] == [1400]
    assert production.artifact_bucket == "shop-333333333333-eu-central-1"


def test_every_value_knows_its_file_line_and_table(tmp_path: Path) -> None:
    root = write(tmp_path)
    rows = {key: (value, origin) for key, value, origin in explain(root, "sales", "production")}
    at = line_of(PROJECT, "eu-central-1")
    assert rows["environment.region"] == ("eu-central-1", f"pipeline.toml:{at} [environments.production]")
    at = line_of(PROJECT, "ml.c5.large")
    assert rows["environment.training.instance_type"] == ("ml.c5.large", f"pipeline.toml:{at} [defaults]")
    assert rows["environment.endpoint.instance_count"] == (1, "default")
    at = line_of(SETTINGS, "1000.5")
    file = "pipeline/definitions/sales/settings.toml"
    assert rows["pipeline.gate[0].maximum"] == (1000.5, f"{file}:{at} [environments.production]")
    at = line_of(SETTINGS, 'prefix = "train"')
    assert rows["pipeline.data.channels.train.prefix"] == ("train", f"{file}:{at}")


def test_the_repository_is_found_from_below_and_lists_what_it_holds(tmp_path: Path) -> None:
    root = write(tmp_path).resolve()
    assert find_root(root / "pipeline" / "definitions") == root
    assert names(root) == ["sales"]
    assert environments(root) == ["dev", "production"]


def test_the_project_alone_knows_all_its_environments(tmp_path: Path) -> None:
    github = '[project.github]\nrepository = "acme/shop"\nowner_id = 7\nrepository_id = 8\n[defaults]'
    root = write(tmp_path, project=PROJECT.replace("[defaults]", github, 1))
    found, known = project(root)
    assert (found.name, found.github and found.github.repository) == ("shop", "acme/shop")
    assert list(known) == ["dev", "production"]
    assert known["dev"].training.max_runtime_seconds == 600, "defaults lie under it"
    assert known["production"].tags == {"team": "ml", "tier": "gold"}
    (root / "pipeline.toml").write_text(PROJECT.replace("[defaults]", "[defaults]\nvolume = 1", 1))
    with pytest.raises(ErrorGroup, match="unknown key"):
        project(root)


def test_no_repository_says_so_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no pipeline\.toml"):
        find_root(tmp_path)


def test_unknown_names_list_those_known(tmp_path: Path) -> None:
    root = write(tmp_path)
    with pytest.raises(ErrorGroup) as caught:
        load(root, "sale")
    assert "did you mean 'sales'" in str(caught.value)
    assert "known: sales" in str(caught.value)
    assert errors(root, "prod") == [
        "pipeline.toml: unknown environment 'prod'; did you mean 'production'?\n  hint: known: dev, production"
    ]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (
            "[training]\ninstance_count = 2\n",
            r"training: unknown key here; pipeline\.toml has it\n  hint: write \[defaults\.training\], or \[environments\.NAME\.training\]",
        ),
        (
            "[environments.dev.training]\ninstance_count = 2\n",
            r"training: unknown key here; pipeline\.toml has it",
        ),
        (
            "[transform]\nworkers = 2\n",
            r"transform: unknown key here; did you mean 'transforms'\?; pipeline\.toml has it",
        ),
        ("[tunin]\nx = 2\n", r"tunin: unknown key; did you mean 'tuning'\?"),
    ],
)
def test_a_key_that_the_other_file_has_is_sent_there(tmp_path: Path, table: str, says: str) -> None:
    found = errors(write(tmp_path, PROJECT, f"{SETTINGS}\n{table}"))
    assert len([each for each in found if "unknown key" in each]) == 1
    assert re.search(says, "\n".join(found)), found


def test_a_pipelines_key_in_an_environment_is_sent_to_its_settings(tmp_path: Path) -> None:
    found = "\n".join(
        errors(write(tmp_path, PROJECT.replace("[defaults]", "[defaults]\nschedule = 1"), SETTINGS))
    )
    assert "schedule: unknown key here; pipeline/definitions/sales/settings.toml has it" in found


def test_all_errors_come_at_once_each_with_place_and_what_is_allowed(tmp_path: Path) -> None:
    project = PROJECT.replace('account = "111111111111"', "account = 111").replace(
        "[defaults.training]", "[defaults.training]\nspott = true\ninstance_count = 0\nvolume_gb = true"
    )
    settings = SETTINGS.replace('container = "sales"', 'conteiner = "sales"').replace(
        'use = "evaluate"', 'use = "eval"'
    )
    found = "\n".join(errors(write(tmp_path, project, settings)))
    file = "pipeline/definitions/sales/settings.toml"
    for expected in (
        rf"pipeline\.toml:{line_of(project, 'spott')}: defaults\.training\.spott: unknown key; did you mean 'spot'\?"
        r"\n  hint: allowed: .*max_wait_seconds",
        rf"pipeline\.toml:{line_of(project, 'instance_count')}: defaults\.training\.instance_count: 0 must be greater",
        rf"pipeline\.toml:{line_of(project, 'volume_gb')}: defaults\.training\.volume_gb: true must be a valid integer",
        rf"pipeline\.toml:{line_of(project, 'account = 111')}: environments\.dev\.account: 111 must be a valid string"
        r"\n  hint: allowed: 12 digits, in quotes",
        rf"{file}:1: conteiner: unknown key; did you mean 'container'\?",
        rf"{file}: container: a value is missing\n  hint: add container = ",
        rf"{file}:{line_of(settings, 'eval')}: data\.channels\.test\.use: \"eval\" must be 'train', 'evaluate' or 'transform'",
        r"no channel has use = \"evaluate\"",
    ):
        assert re.search(expected, found), f"{expected}\n--- not in ---\n{found}"
    assert len(found.split("pipeline.toml:")) - 1 == 4, (
        "an error of a default is said once, not once an environment"
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("max_runtime_seconds = 600", "max_runtime_seconds = 600\nspot = true", "needs max_wait_seconds"),
        (
            "max_runtime_seconds = 600",
            "max_runtime_seconds = 600\nspot = true\nmax_wait_seconds = 60",
            "60 is less than",
        ),
        (
            "[defaults.tags]",
            "[defaults.notification]\nenabled = true\n[defaults.tags]",
            "enabled = true needs slack_secret",
        ),
        ('team = "ml"', '"aws:team" = "ml"', "reserved by AWS"),
        ('name = "shop"', 'name = "aws-shop"', "starts with aws or ssm"),
        ('region = "eu-west-1"', 'region = "Ireland"', "must match pattern"),
        ('name = "shop"', 'name = "shop"\ndefault_environment = "test"', "not an environment of this file"),
        ("[project]", "[projekt]\n[project]", "did you mean 'project'"),
        ('account = "111111111111"', "", "environments.dev.account: a value is missing"),
        ('[environments.dev]\naccount = "111111111111"', '[environments]\ndev = "x"', "must be a table"),
        (
            'name = "shop"',
            'name = "shop"\ngithub.repository = "shop"',
            'github.repository: "shop" must match',
        ),
        (
            'name = "shop"',
            'name = "shop"\n[project.github]\nrepository = "a/b"\nowner_id = 1',
            "both ids or none",
        ),
        ('region = "eu-west-1"', 'region = "eu-west-1"\nbudget_usd_per_month = 5', "set budget_email too"),
        (
            'account = "333333333333"',
            'account = "333333333333"\npromote_from = "stage"',
            "production.promote_from: 'stage' is not an environment of this file",
        ),
        (
            'account = "333333333333"',
            'account = "333333333333"\npromote_from = "production"',
            "promotes in a circle: production <- production",
        ),
        (
            'account = "111111111111"',
            'account = "111111111111"\npromote_from = "x"\n[environments.x]\naccount = "222222222222"\n'
            'promote_from = "dev"',
            "promotes in a circle: dev <- x <- dev",
        ),
    ],
)
def test_an_impossible_environment_is_refused(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in PROJECT
    assert expected in "\n".join(errors(write(tmp_path, project=PROJECT.replace(old, new, 1))))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("maximum = 1400\n", "", "needs minimum or maximum"),
        ("maximum = 1400", "minimum = 2\nmaximum = 1", "minimum 2 is above maximum 1"),
        ("maximum = 1400", "maximum = nan", "finite number"),
        ("maximum = 1400", 'maximum = 1400\n[[gate]]\nmetric = "rmse"\nminimum = 1', "has two rules"),
        ("maximum = 1400", "maximum = 1400\nmargin = 1", "one that is no better could pass"),
        ("maximum = 1400", 'maximum = 1400\nbetter = "higher"', "a maximum alone bounds"),
        ("maximum = 1400", 'minimum = 1400\nbetter = "lower"', "a minimum alone bounds"),
        ("maximum = 1400", "minimum = 1\nmaximum = 2\nmargin = -1", "nothing says which values are better"),
        ("maximum = 1400", "maximum = 1400\ncompare = false\nmargin = -1", "margin has no effect"),
        ("maximum = 1400", "maximum = 1400\nmargin = nan", "finite number"),
        ("[smoke]", "[champion]\nresamples = 200\nconfidence = 0.96\n[smoke]", "200 resamples cannot show"),
        ("[smoke]", "[champion]\nconfidence = 0.999\n[smoke]", "set resamples = 10000 or more"),
        ("[smoke]", "[champion]\nconfidence = 95\n[smoke]", "champion.confidence"),
        ("[smoke]", '[champion]\nwhen_unknown = "pass"\n[smoke]', "champion.when_unknown"),
        ("[smoke]", "[[metrics]]\nname = 'a'\nregex = 'a=([0-9]'\n[smoke]", "no regular expression"),
        ("[smoke]", "[[metrics]]\nname = 'a'\nregex = 'a=[0-9]'\n[smoke]", "exactly one must hold the value"),
        ("depth = 3", "depth = [1, 2]", "hyperparameters.depth: [1, 2] must be"),
        ("depth = 3", "depth = inf", "hyperparameters.depth: inf is not a finite number"),
        ('prefix = "test"', 'prefix = "train"', "is also the prefix of channel 'train'"),
        ("[smoke]", "[schedule]\nexpression = 'cron(0 3 * * *)'\n[smoke]", "has 5 fields"),
        ("[smoke]", "[schedule]\nexpression = 'cron(0 3 * * * *)'\n[smoke]", "must be ?"),
        ("[smoke]", "[schedule]\nexpression = 'rate(1 days)'\n[smoke]", "is no rate"),
        ("[smoke]", "[schedule]\ntimezone = 'Mars/Base'\n[smoke]", "no IANA time zone"),
        (
            "[environments.production]",
            "[environments.productoin]\n[environments.production]",
            "did you mean 'production'",
        ),
        ("[smoke]", "[data]\nsuffix = 'day'\n[smoke]", "ends in /"),
        ("[smoke]", "[check]\nignore = ['ML001']\n[smoke]", "rule and reason"),
        (
            "depth = 9",
            "depth = 9\n[environments.production.schedule]\nexpression = 'daily'",
            "must match pattern",
        ),
    ],
)
def test_an_impossible_pipeline_is_refused(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in SETTINGS
    assert expected in "\n".join(errors(write(tmp_path, settings=SETTINGS.replace(old, new, 1))))


def test_a_name_too_long_for_job_names_is_refused(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        project=PROJECT.replace("[environments.dev]", f"[environments.{'d' * 31}]").replace(
            'name = "shop"', f'name = "shop"\ndefault_environment = "{"d" * 31}"'
        ),
        name="a-pipeline-of-21-chars",
    )
    with pytest.raises(ErrorGroup, match="54 characters") as caught:
        load(root, "a-pipeline-of-21-chars")
    assert len(caught.value.errors) == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[project\nname = 1\n", "pipeline.toml:1: TOML syntax"),
        (b"[project]\nname = 'a'\nname = 'b'\n", "pipeline.toml:3: TOML syntax"),
        (b"[project]\nname = '\xff'\n", "pipeline.toml:2: is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_parsed_names_its_line(tmp_path: Path, content: bytes, expected: str) -> None:
    root = write(tmp_path, settings="container = \n")
    (root / "pipeline.toml").write_bytes(content)
    found = errors(root)
    assert found[0].startswith(expected)
    assert found[1].startswith("pipeline/definitions/sales/settings.toml:1: TOML syntax"), (
        "both files are told"
    )


def test_a_settings_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    root = write(tmp_path)
    (root / "pipeline.toml").unlink()
    (root / "pipeline.toml").mkdir()
    assert "pipeline.toml: cannot be read: Is a directory" in errors(root)[0]


def test_the_build_service_names_the_repository_where_the_file_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_GITHUB_REPOSITORY", "local/shop")
    root = write(tmp_path)
    github = load(root, "sales").project.github
    assert github is not None and github.repository == "local/shop"
    assert project(root)[0].github == github
    (root / "pipeline.toml").write_text(
        PROJECT.replace("[defaults]", '[project.github]\nrepository = "a/b"\n\n[defaults]')
    )
    written = load(root, "sales").project.github
    assert written is not None and written.repository == "a/b", "what is written goes before"
    (root / "pipeline.toml").write_text(PROJECT)
    monkeypatch.setenv("PIPELINE_GITHUB_REPOSITORY", "no name")
    with pytest.raises(SettingsError, match="owner/name"):
        load(root, "sales")
