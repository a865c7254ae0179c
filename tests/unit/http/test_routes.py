"""The table of all routes, and the functions that are bound to it."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from shared.api import routing
from shared.api.routing import FUNCTIONS, PEOPLE, Function, Route
from shared.core.errors import CATALOG
from shared.http import routes
from shared.http.app import application
from shared.http.routes import ROUTES

ROOT = Path(__file__).parents[3]


def load(function: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"loaded_{function}", ROOT / "functions" / function / "main.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_names_and_path_methods_are_unique() -> None:
    assert max(Counter(route.name for route in ROUTES).values()) == 1
    assert max(Counter((route.method, route.path) for route in ROUTES).values()) == 1


def test_no_two_paths_differ_only_in_parameters() -> None:
    shapes = {route.path: "/".join("*" if "{" in part else part for part in route.path.split("/")) for route in ROUTES}
    assert max(Counter(shapes.values()).values()) == 1


@pytest.mark.parametrize("function", FUNCTIONS)
def test_function_binds_exactly_its_own_routes(function: Function) -> None:
    module = load(function)
    assert set(module.HANDLERS) == {route.name for route in routes.of(function)}
    assert {route.path for route in module.app.routes} == {routing.pattern(row.path) for row in routes.of(function)}


def test_functions_and_folders_match() -> None:
    assert {path.parent.name for path in ROOT.glob("functions/*/main.py")} == set(FUNCTIONS)
    assert sum(len(routes.of(function)) for function in FUNCTIONS) == len(ROUTES)


@pytest.mark.parametrize("handlers", [{}, {"sweep": None, "retain": None, "reconcile": None, "more": None}])
def test_function_with_wrong_routes_does_not_start(handlers: Any) -> None:
    with pytest.raises(ValueError, match="cleanup must handle exactly"):
        application(routes.of("cleanup"), handlers)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_route_is_complete(route: Route) -> None:
    assert route.summary
    assert set(route.errors) <= set(CATALOG)
    assert (route.method == "GET") <= (route.body is None)
    assert route.status in (200, 201, 202, 204)
    assert (route.status == 204) <= (route.response is None)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_users_call_v1_and_machines_do_not(route: Route) -> None:
    assert (route.caller in PEOPLE) == route.path.startswith("/v1/")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_only_administrators_call_v1_admin(route: Route) -> None:
    assert not route.path.startswith("/v1/admin/") or route.caller == "admin"
    assert route.path.startswith("/v1/operator/") == (route.caller == "operator")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_role_or_write_routes_read_the_account_each_time(route: Route) -> None:
    # A job's commit reads it by itself; an estimate writes nothing.
    by_itself = route.name in ("create_video", "extend_video", "estimate_video")
    if route.caller in ("admin", "operator") or (route.caller == "user" and route.method != "GET"):
        assert route.fresh_account != by_itself


@pytest.mark.parametrize("function", ["poll", "cleanup"])
def test_machine_functions_serve_no_users(function: Function) -> None:
    assert all(route.caller in ("queue", "scheduler", "bucket") for route in routes.of(function))
