"""What AWS is given: the template with the conditions of AWS, what infra/aws_template.py adds, nested templates.

Nothing here is deployed. What is held is what can be known without: limits of CloudFormation and Lambda; that nothing
is left unprotected, unlogged or unwatched; and that an emulator gets none of it.
"""

import ast
import copy
import json
import re
import sys
from pathlib import Path
from typing import Any  # a template is whatever YAML holds

import pytest

from functions.bill_aggregation_service.app import app
from functions.common import metrics
from functions.common.http import request_line, snapshot
from infra import aws_template, stages, template
from infra.settings import ROOT, load
from tests.contract.platform import FUNCTIONS
from tests.support.cloudformation import Stack, named, stack

NESTED = ROOT / "infra" / "templates"
KEY_BYTES = 250  # of a public key in a JWK Set
LONGEST_NAME = "x" * 100  # of a resource that CloudFormation names
MAX_RESOURCES, MAX_PARAMETERS, MAX_TEMPLATE_BYTES = 500, 200, 1_000_000
MAX_ENVIRONMENT_BYTES, MAX_POLICY_CHARS, MAX_STACK_OUTPUTS = 4096, 10_240, 200
UNKEPT = {"LinkKeysTable", "IdempotencyTable", "MockTable"}
"""Tables without backups: wrapped data keys by intent, the others because they hold nothing that is worth one."""


def parameters(stage: str) -> dict[str, str]:
    """What samconfig.toml and the deploy step give."""
    return dict(stages.of(load({"TARGET": "aws", "STAGE": stage}), {}).parameters) | {"Stage": stage}


@pytest.fixture(scope="module")
def source() -> dict[str, Any]:
    return template.read()


@pytest.fixture(scope="module")
def whole(source: dict[str, Any]) -> dict[str, Any]:
    """For production, with all conditions in it."""
    return template.transformed(aws_template.extended(copy.deepcopy(source), parameters("prod"), {}))


@pytest.fixture(scope="module")
def prod(whole: dict[str, Any]) -> Stack:
    return stack(whole, parameters("prod"))


@pytest.fixture(scope="module")
def nested() -> dict[str, dict[str, Any]]:
    return {path.stem: template.read(path) for path in sorted(NESTED.glob("*.yaml"))}


def of_type(given: Stack, kind: str) -> dict[str, dict[str, Any]]:
    return {name: each["Properties"] for name, each in given.resources.items() if each["Type"] == kind}


class TestLimits:
    def test_of_a_stack(self, whole: dict[str, Any], nested: dict[str, dict[str, Any]]) -> None:
        for name, each in {"template": whole, **nested}.items():
            assert len(each["Resources"]) <= MAX_RESOURCES * 0.8, f"{name}: move routes or alarms into another stack"
            assert len(each["Parameters"]) <= MAX_PARAMETERS * 0.8, name
            assert len(each.get("Outputs", {})) <= MAX_STACK_OUTPUTS, name
            assert len(json.dumps(each)) <= MAX_TEMPLATE_BYTES * 0.8, name

    def test_of_a_function_s_environment(self, prod: Stack) -> None:
        """With two keys that sign tokens, names as long as CloudFormation makes them, and all secrets resolved."""
        for name, properties in of_type(prod, "AWS::Lambda::Function").items():
            variables = properties["Environment"]["Variables"]
            size = sum(len(key) + len(_resolved(key, value)) for key, value in variables.items())
            assert size <= MAX_ENVIRONMENT_BYTES * 0.9, f"{name}: {size} bytes"

    def test_of_a_role_s_policies(self, prod: Stack) -> None:
        for name, properties in of_type(prod, "AWS::IAM::Role").items():
            documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
            told = re.sub(r'\{"(Fn::\w+|Ref)": [^{}]*\}', f'"{LONGEST_NAME}"', json.dumps(documents))
            assert len(re.sub(r"\s", "", told)) <= MAX_POLICY_CHARS, name


def _resolved(name: str, value: Any) -> str:
    """As long as it may become."""
    if name == "JWKS":
        return "x" * 2 * KEY_BYTES
    if isinstance(value, str):
        return value
    text = json.dumps(value)
    return "x" * (128 if "resolve:" in text or "Rpc" in text else 100 if "Fn::" in text or "Table" in text else 60)


class TestNetworkAndCache:
    @pytest.mark.parametrize(
        ("cache_url", "made", "told"),
        [
            ("", {"Network", "Cache"}, None),
            ("none", set(), ""),
            ("rediss://cache.example:6379/0", set(), {"Ref": "CacheUrl"}),
        ],
    )
    def test_are_made_where_no_cache_is_named(
        self, whole: dict[str, Any], cache_url: str, made: set[str], told: object
    ) -> None:
        given = stack(whole, {**parameters("dev"), "CacheUrl": cache_url})

        assert given.resources.keys() & {"Network", "Cache"} == made
        for name, properties in of_type(given, "AWS::Lambda::Function").items():
            variables = properties["Environment"]["Variables"]
            assert ("VpcConfig" in properties) == (bool(made) and "CACHE_URL" in variables), name
            if "CACHE_URL" in variables:
                url = variables["CACHE_URL"]
                assert url == told if told is not None else url["Fn::Sub"].startswith("rediss://functions:{{resolve:")

    def test_an_emulator_has_neither_even_where_it_is_told_of_no_cache(self, whole: dict[str, Any]) -> None:
        given = stack(whole, {"CacheUrl": "", "Target": "emulated"})

        assert not given.resources.keys() & {"Network", "Cache", "Observability", "Firewall", "AlarmTopic"}
        assert not of_type(given, "AWS::Logs::LogGroup")

    def test_the_cache_s_user_may_do_what_the_scripts_do_and_nothing_else(self, nested: dict[str, Any]) -> None:
        granted = nested["cache"]["Resources"]["Functions"]["Properties"]["AccessString"].split()
        scripts = "".join(path.read_text() for path in FUNCTIONS.rglob("*.py"))
        called = {name.lower() for name in re.findall(r"redis\.call\('(\w+)'", scripts)}

        assert set(granted) == {
            "on",
            "~*",
            "-@all",
            "+@connection",
            "+eval",
            "+evalsha",
            *(f"+{name}" for name in called),
        }

    def test_only_functions_reach_the_cache_and_nobody_reaches_functions(self, nested: dict[str, Any]) -> None:
        groups = {
            name: each["Properties"]
            for name, each in nested["network"]["Resources"].items()
            if each["Type"] == "AWS::EC2::SecurityGroup"
        }

        assert "SecurityGroupIngress" not in groups["FunctionsGroup"]
        for name in groups.keys() - {"FunctionsGroup"}:
            assert [rule["SourceSecurityGroupId"] for rule in groups[name]["SecurityGroupIngress"]] == [
                {"Ref": "FunctionsGroup"}
            ]


class TestKeeping:
    def test_tables_of_production_outlive_mistakes_and_their_stack(self, prod: Stack) -> None:
        tables = {name: each for name, each in prod.resources.items() if each["Type"] == "AWS::DynamoDB::Table"}

        assert {name for name, each in tables.items() if each.get("DeletionPolicy") != "Retain"} == {"LinkKeysTable"}
        assert {name for name, each in tables.items() if each.get("UpdateReplacePolicy") != "Retain"} == {
            "LinkKeysTable"
        }
        for name, table in tables.items():
            properties = table["Properties"]
            assert properties["DeletionProtectionEnabled"] is True, name
            assert properties["SSESpecification"] == {"SSEEnabled": True}, name
            recovery = properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
            assert recovery == (name not in UNKEPT), name

    def test_a_stage_to_try_things_can_be_deleted(self, source: dict[str, Any]) -> None:
        dev = aws_template.extended(copy.deepcopy(source), parameters("dev"), {})
        tables = {name: each for name, each in dev["Resources"].items() if each["Type"] == "AWS::DynamoDB::Table"}

        assert not [name for name, table in tables.items() if "DeletionPolicy" in table]
        given = stack(template.transformed(dev), parameters("dev"))
        assert not [
            n for n, each in of_type(given, "AWS::DynamoDB::Table").items() if each.get("DeletionProtectionEnabled")
        ]

    def test_what_lies_anywhere_is_encrypted(self, prod: Stack) -> None:
        for name, queue in of_type(prod, "AWS::SQS::Queue").items():
            assert queue["SqsManagedSseEnabled"] is True, name
        for name, topic in of_type(prod, "AWS::SNS::Topic").items():
            assert topic["KmsMasterKeyId"], name
        for name, bucket in of_type(prod, "AWS::S3::Bucket").items():
            assert bucket["BucketEncryption"], name
            assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}, name
            assert bucket["LifecycleConfiguration"]["Rules"], name

    def test_each_function_logs_to_a_group_that_forgets_in_time(self, prod: Stack) -> None:
        groups = of_type(prod, "AWS::Logs::LogGroup")

        for name, function in of_type(prod, "AWS::Lambda::Function").items():
            assert function["LoggingConfig"] == {"LogGroup": {"Ref": f"{name}Logs"}}
            assert groups[f"{name}Logs"]["LogGroupName"] == {"Fn::Sub": f"/billing/${{Stage}}/{name}"}
        assert all(group["RetentionInDays"] for group in groups.values())


class TestVersions:
    def test_functions_of_the_api_are_published_with_a_snapshot_and_in_production_with_a_canary(
        self, prod: Stack
    ) -> None:
        aliases = {alias["FunctionName"]["Ref"] for alias in of_type(prod, "AWS::Lambda::Alias").values()}
        groups = of_type(prod, "AWS::CodeDeploy::DeploymentGroup")

        assert aliases == {name for name in of_type(prod, "AWS::Lambda::Function") if name.endswith("Api")} | {
            "FrontDoor"
        }
        for name in aliases:
            assert prod.resources[name]["Properties"]["SnapStart"] == {"ApplyOn": "PublishedVersions"}
            assert prod.resources[f"{name}Aliaslive"]["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
            gates = [alarm["Name"]["Ref"] for alarm in groups[f"{name}DeploymentGroup"]["AlarmConfiguration"]["Alarms"]]
            assert gates == list(aws_template.GATES)
            assert {prod.resources[gate]["Type"] for gate in gates} == {"AWS::CloudWatch::Alarm"}

    def test_routes_lead_to_the_alias(self, whole: dict[str, Any]) -> None:
        for path, methods in whole["Resources"]["Api"]["Properties"]["Body"]["paths"].items():
            assert "Aliaslive" in json.dumps(methods), path

    @pytest.mark.parametrize("changed", ["parameter", "artefact", "nothing"])
    def test_a_version_is_published_when_anything_of_it_changes(self, source: dict[str, Any], changed: str) -> None:
        """Also when it is only the value of a parameter: a new signing key must reach who verifies."""
        before, after = {"Jwks": "old"}, {"Jwks": "new" if changed == "parameter" else "old"}
        digests = {"BillApi": "b" if changed == "artefact" else "a"}

        made = [
            aws_template.extended(copy.deepcopy(source), given, told)["Resources"]["BillApi"]["Properties"]
            for given, told in ((before, {"BillApi": "a"}), (after, digests))
        ]

        same = made[0]["AutoPublishCodeSha256"] == made[1]["AutoPublishCodeSha256"]
        assert same == (changed == "nothing")

    def test_what_is_deployed_matters_to_who_tells_it_alone(self, source: dict[str, Any]) -> None:
        made = [
            aws_template.extended(copy.deepcopy(source), {"Version": version}, {})["Resources"]
            for version in ("1", "2")
        ]

        changed = {
            name
            for name, before in made[0].items()
            if before["Properties"].get("AutoPublishCodeSha256")
            != made[1][name]["Properties"].get("AutoPublishCodeSha256")
        }
        assert changed == {"BrokerApi"}

    def test_what_functions_import_late_is_imported_before_the_snapshot(self) -> None:
        late = {name for path in FUNCTIONS.rglob("*.py") for name in _imported_late(path)}

        # grpc is not in a function of the API; of redis, pynamodb and protobuf our own modules import all that is used
        assert late - {"grpc", "grpc_status", "redis", "google", "pynamodb", "msgspec"} == {
            name.partition(".")[0] for name in snapshot.LATER
        }


def _imported_late(path: Path) -> set[str]:
    """Packages of others that a function of this module imports when it runs."""
    found: set[str] = set()
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                found |= {name.partition(".")[0] for name in names}
    return found - sys.stdlib_module_names - {"functions", "snapshot_restore_py"}


class TestWatching:
    def test_each_queue_with_a_dead_letter_queue_has_its_alarms(self, prod: Stack, nested: dict[str, Any]) -> None:
        queues = {name for name, queue in of_type(prod, "AWS::SQS::Queue").items() if "RedrivePolicy" in queue}

        assert {f"{name}DeadAlarm" for name in queues} <= prod.resources.keys()
        assert {f"{name}AgeAlarm" for name in queues} <= nested["observability"]["Resources"].keys()

    def test_all_functions_and_tables_are_watched(self, prod: Stack, nested: dict[str, Any]) -> None:
        watched = nested["observability"]["Resources"]
        for kind in ("Errors", "Throttles"):
            seen = {
                each
                for name, alarm in watched.items()
                if name.endswith(f"Functions{kind}Alarm")
                for each in named(alarm)
            }
            assert of_type(prod, "AWS::Lambda::Function").keys() == seen - {"Topic"}
        for kind in ("Read", "Write"):
            seen = set(named(watched[f"Table{kind}ThrottlesAlarm"])) - {"Topic"}
            # ten metrics are all that an alarm takes; migrations are run by hand
            assert of_type(prod, "AWS::DynamoDB::Table").keys() - {"MigrationsTable"} == seen
        for gate in ("ApiFunctionErrorsAlarm",):
            api = {name for name, each in prod.resources.items() if f"{name}Aliaslive" in prod.resources}
            assert set(named(prod.resources[gate]["Properties"]["Metrics"])) == api
            assert {f"{name}Faults" for name in api} <= prod.resources.keys()

    def test_all_alarms_tell_when_they_begin_and_when_they_end(self, prod: Stack, nested: dict[str, Any]) -> None:
        told = {**of_type(prod, "AWS::CloudWatch::Alarm")}
        told |= {n: r["Properties"] for n, r in nested["observability"]["Resources"].items() if n.endswith("Alarm")}
        for name, alarm in told.items():
            assert alarm["AlarmActions"] == alarm["OKActions"] in ([{"Ref": "AlarmTopic"}], [{"Ref": "Topic"}]), name
            assert len(alarm.get("Metrics", [])) <= 11, f"{name}: of ten metrics an alarm makes one"
            assert all(alarm[told] for told in ("AlarmDescription", "TreatMissingData")), name

    def test_what_functions_count_is_watched_by_the_name_and_dimensions_they_give_it(
        self, prod: Stack, nested: dict[str, Any]
    ) -> None:
        own = [
            metric["MetricStat"]["Metric"]
            for alarm in nested["observability"]["Resources"].values()
            for metric in alarm["Properties"].get("Metrics", [])
            if metric.get("MetricStat", {}).get("Metric", {}).get("Namespace") == metrics.NAMESPACE
        ]

        assert own
        for metric in own:
            given = {dimension["Name"]: dimension["Value"] for dimension in metric["Dimensions"]}
            assert tuple(given) == metrics.DIMENSIONS
            assert metric["MetricName"] in request_line.COUNTED_AS.values()
            assert given["stage"] == {"Ref": "Stage"}
            assert ((route := given["route"]), "GET") in app.specs, route
            assert given["service"] == app.app_name
        reader = of_type(prod, "AWS::Lambda::Function")["BillApi"]
        assert reader["Environment"]["Variables"]["STAGE"] == {"Ref": "Stage"}
        body = nested["observability"]["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
        shown = zip(metrics.DIMENSIONS, ("${Stage}", app.app_name, "/bills"), strict=True)
        assert ", ".join(f'"{name}", "{value}"' for name, value in shown) in body

    def test_the_dashboard_is_json(self, nested: dict[str, Any]) -> None:
        body = nested["observability"]["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]

        widgets = json.loads(body)["widgets"]
        assert set(re.findall(r"\$\{(\w+)\}", body)) <= nested["observability"]["Parameters"].keys()
        assert len({(widget["x"], widget["y"]) for widget in widgets}) == len(widgets)


class TestParameters:
    def test_nested_templates_are_given_what_they_ask_for(self, whole: dict[str, Any], nested: dict[str, Any]) -> None:
        stacks = [each["Properties"] for each in whole["Resources"].values() if each["Type"].endswith("::Stack")]
        used = {each["TemplateURL"]: each["Parameters"] for each in stacks}

        assert {Path(url).stem for url in used} == nested.keys()
        for url, given in used.items():
            declared = nested[Path(url).stem]["Parameters"]
            needed = {name for name, each in declared.items() if "Default" not in each}
            assert needed <= given.keys() <= declared.keys(), url

    @pytest.mark.parametrize("stage", ["dev", "prod"])
    def test_of_samconfig_are_those_of_the_template(self, source: dict[str, Any], stage: str) -> None:
        for name, value in parameters(stage).items():
            declared = source["Parameters"][name]
            assert value in declared.get("AllowedValues", [value]), name

    def test_the_template_refuses_a_sandbox_in_production(self, source: dict[str, Any]) -> None:
        assert source["Rules"]["ProductionHasNoSandbox"]["Assertions"][0]["Assert"] == {
            "Fn::Equals": [{"Ref": "Sandbox"}, "false"]
        }
