from pathlib import Path

import pytest

from infra import routes
from infra.console import Failure

TEMPLATE = """
Resources:
  OneApi:
    Type: AWS::Serverless::Function
    Properties:
      Handler: functions.one_service.app.app
      Environment: {Variables: {TABLE: !Ref OneTable, ARN: !GetAtt OneTable.Arn, NAME: !Sub "a-${Stage}"}}
      Events:
        Get: {Type: Api, Properties: {RestApiId: !Ref Api, Method: get, Path: "/things/{thing_id}"}}
        Put: {Type: Api, Properties: {RestApiId: !Ref Api, Method: PUT, Path: "/things/{thing_id}"}}
        Hourly: {Type: Schedule, Properties: {Schedule: rate(1 hour)}}
  Worker:
    Type: AWS::Serverless::Function
    Properties: {Handler: functions.one_service.app.work}
  FrontDoor:
    Type: AWS::Serverless::Function
    Properties:
      Handler: functions.two_service.front_door.app
      Events:
        Root: {Type: Api, Properties: {Method: get, Path: "/"}}
        Any: {Type: Api, Properties: {Method: get, Path: "/{proxy+}"}}
  OneTable: {Type: AWS::DynamoDB::Table}
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE)
    return path


def test_routes_are_those_of_the_template_without_the_catch_all(template: Path) -> None:
    assert routes.routes(template) == {"/things/{thing_id}": ("GET", "PUT")}


def test_the_file_is_a_module_with_the_table() -> None:
    table = {"/a": ("GET",), "/a/{b}": ("DELETE", "GET")}
    namespace: dict[str, object] = {}

    exec(routes.render(table), namespace)

    assert namespace["ROUTES"] == table


def test_a_stale_file_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "ROOT", tmp_path)
    monkeypatch.setattr(routes, "OUTPUT", tmp_path / "routes.py")

    with pytest.raises(Failure, match="out of date"):
        routes.check()
    routes.write()
    routes.check()


def test_the_committed_file_is_what_the_template_says() -> None:
    routes.check()
