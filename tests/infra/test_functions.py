"""The functions are given what their code reads, the time that it counts on, and the calls that are meant for them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from shared.accounts import exports
from shared.api.body_limits import IMAGES
from shared.api.routing import FUNCTIONS, PEOPLE
from shared.core import lifecycle
from shared.core.documents import LiveSettings, Stage
from shared.core.events import Viewed
from shared.gateways.cloud_tasks import DELIVER_DEADLINE_S, DISPATCH_DEADLINE_S
from shared.gateways.firestore import CALL_TIMEOUT_S as FIRESTORE_TIMEOUT_S
from shared.gateways.public_http import POST_TIMEOUT_S
from shared.http import routes
from shared.media import image_worker, image_workers
from shared.platform.settings import Settings
from shared.streaming import stream_places
from shared.streaming.event_stream import PACE
from shared.webhooks.deliveries import Delivery
from shared.webhooks.receivers import CROWDED_FROM
from tests.contract.test_store import NOON, a_job
from tests.infra import reach
from tests.infra.configuration import INFRA, Body, Configuration
from tests.infra.conftest import Mistaken
from tests.unit.conftest import House
from tools.package import PACKAGES, ROOT

# Where services are locally, and in whose name they sign. In the cloud both are fixed.
LAPTOP = {
    "CLOUD_TASKS_EMULATOR_HOST",
    "GEMINI_URL",
    "LOCAL_OUTBOUND",
    "OIDC_AUDIENCE",
    "OIDC_ISSUER",
    "OIDC_JWKS_URL",
    "SIGNER_EMAIL",
    "SIGNER_KEY_FILE",
    "VERTEX_TOKEN",
    "VERTEX_URL",
}
MIB_OF_UNIT = {"Mi": 1, "Gi": 1024}


def functions(configuration: Configuration) -> dict[str, Body]:
    return {str(each.key): each.body for each in configuration.instances("google_cloudfunctions2_function")}


def environment_problems(configuration: Configuration) -> Iterator[str]:
    """Where a function's variables are not those that its code reads."""
    known = set(configuration.locals["settings"])
    for name, row in configuration.locals["functions"].items():
        settings, secrets = set(row["settings"]), set(row["secrets"])
        needed = {setting.upper() for setting in reach.of(name).settings} | _always(Settings)
        # Functions that call a provider have the key; those that only accept jobs know that there is one.
        needed -= LAPTOP | ({"OMNI_OFFERED"} if "GEMINI_API_KEY" in secrets else {"GEMINI_API_KEY"})
        for variable in sorted((settings | secrets) ^ needed):
            yield f"{name}: {variable} is {'missing' if variable in needed else 'not read'}"
        for variable in sorted(settings - known):
            yield f"{name}: {variable} has no value"
        calls_providers = ("providers", "of") in reach.of(name).calls
        if calls_providers != ("GEMINI_API_KEY" in secrets):
            yield f"{name}: it {'needs' if calls_providers else 'does not need'} the key of the Gemini API"


def _always(settings: type[Settings]) -> set[str]:
    """Without these no process starts."""
    return {name.upper() for name, field in settings.model_fields.items() if field.is_required()}


def test_deployed_functions_are_those_of_the_code(configuration: Configuration) -> None:
    assert set(functions(configuration)) == set(FUNCTIONS)
    assert all(body["build_config"][0]["entry_point"] == name for name, body in functions(configuration).items())


def test_function_archive_is_named_by_its_content(configuration: Configuration) -> None:
    archives = {str(each.key): each.body for each in configuration.instances("google_storage_bucket_object")}
    for name, body in functions(configuration).items():
        archive = f"${{local.packages}}/{name}.zip"
        assert archives[name]["source"] == archive
        assert archives[name]["name"] == f'{name}/${{filesha256("{archive}")}}.zip'
        (source,) = body["build_config"][0]["source"]
        assert source["storage_source"][0]["object"] == f'${{google_storage_bucket_object.package["{name}"].name}}'
    assert str(PACKAGES.relative_to(ROOT)) in configuration.locals["packages"]


def test_variables_are_exactly_those_the_function_reads(configuration: Configuration) -> None:
    assert list(environment_problems(configuration)) == []


def test_variables_come_from_the_table(configuration: Configuration) -> None:
    taken = {str(body["service_config"][0]["environment_variables"]) for body in functions(configuration).values()}
    assert taken == {"${{for name in each.value.settings : name => local.settings[name]}}"}


def test_every_setting_is_deployed_or_local_only(configuration: Configuration) -> None:
    given = set(configuration.locals["settings"]) | {"GEMINI_API_KEY", "GEMINI_WEBHOOK_SECRET"}
    assert given | LAPTOP == {name.upper() for name in Settings.model_fields}
    assert given.isdisjoint(LAPTOP)


@pytest.mark.parametrize(
    "name", ["default_models", "log_level", "region", "requests_per_minute", "signup_credits", "vertex_location"]
)
def test_defaults_match_the_code(configuration: Configuration, name: str) -> None:
    assert configuration.variables[name]["default"] == Settings.model_fields[name].default


@pytest.mark.parametrize(
    ("text", "by", "problem"),
    [
        ('"LOG_LEVEL", "OMNI_OFFERED",', '"LOG_LEVEL",', "submit: OMNI_OFFERED is missing"),
        ('"REQUESTS_PER_MINUTE", "SIGNUP_CREDITS",\n      ]', '"REGION", "REQUESTS_PER_MINUTE", "SIGNUP_CREDITS",\n      ]', "stream: REGION is not read"),  # noqa: E501
        ('secrets = ["GEMINI_WEBHOOK_SECRET"]', "secrets = []", "submit: GEMINI_WEBHOOK_SECRET is missing"),
        ("LOG_LEVEL             = var.log_level", "", "poll: LOG_LEVEL has no value"),
    ],
)  # fmt: skip
def test_wrong_variable_is_detected(mistaken: Mistaken, text: str, by: str, problem: str) -> None:
    assert problem in set(environment_problems(mistaken("functions.tf", text, by)))


async def test_calls_left_out_of_reach_never_happen() -> None:
    """Viewing creates no task, and a newly requested export has no files to sign."""
    config = LiveSettings()
    for stage in Stage:
        job = a_job(stage=stage, expires_at=NOON + timedelta(days=1))
        change = lifecycle.decide(job, None, Viewed(), NOON + timedelta(days=30), config)
        assert change is None or change.task is None
    house = House()
    caller = await house.sign_up()
    assert (await exports.start(house.services, caller)).status != "completed"
    assert {("stream", "tasks", "create"), ("submit", "objects", "sign")} == reach.IMPOSSIBLE


def test_timeouts_match_the_code(configuration: Configuration) -> None:
    timeout_s = {name: row["timeout_s"] for name, row in configuration.locals["functions"].items()}
    assert timeout_s["poll"] == lifecycle.FUNCTION_TIMEOUT_S < DISPATCH_DEADLINE_S
    assert POST_TIMEOUT_S + 2 * FIRESTORE_TIMEOUT_S < timeout_s["deliver"] < DELIVER_DEADLINE_S
    assert timeout_s["stream"] > PACE.longest_s
    deadlines_s = {name: row["deadline_s"] for name, row in configuration.locals["schedules"].items()}
    assert all(deadline_s > timeout_s["cleanup"] for name, deadline_s in deadlines_s.items() if name != "sweep")


def test_accepted_bodies_and_images_fit_into_memory(configuration: Configuration) -> None:
    row = configuration.locals["functions"]["submit"]
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", row["memory"]).groups()  # type: ignore[union-attr]
    held_twice_mib = 2 * IMAGES.max_bytes / 2**20
    images_mib = image_workers.AT_ONCE * image_worker.MOST_MEMORY_BYTES / 2**20
    assert row["concurrency"] * held_twice_mib + images_mib + 256 <= int(number) * MIB_OF_UNIT[unit]


def test_streams_of_one_or_idle_accounts_leave_most_of_an_instance(configuration: Configuration) -> None:
    row = configuration.locals["functions"]["stream"]
    assert row["concurrency"] >= stream_places.ALL_IDLE * 4
    assert row["concurrency"] >= stream_places.PER_ACCOUNT * 10
    # Whose share docs/scaling.md states.
    assert row["concurrency"] == 200


def test_webhook_pace_matches_deliver_and_leaves_slots_for_everybody(
    configuration: Configuration,
) -> None:
    row = configuration.locals["functions"]["deliver"]
    (queue,) = [
        each.body for each in configuration.instances("google_cloud_tasks_queue") if each.body["name"] == Delivery.queue
    ]
    assert row["max"] == 1, "the limits per account and host are kept in one process's memory"
    assert queue["rate_limits"][0]["max_concurrent_dispatches"] == row["concurrency"]
    assert row["concurrency"] > CROWDED_FROM


def test_function_is_public_if_people_or_providers_call_it(configuration: Configuration) -> None:
    for name, row in configuration.locals["functions"].items():
        callers = {route.caller for route in routes.ROUTES if route.function == name}
        assert row["public"] == bool(callers & {*PEOPLE, "provider"}), name


def test_scheduler_calls_each_of_its_routes(configuration: Configuration) -> None:
    jobs = configuration.instances("google_cloud_scheduler_job")
    targets: list[Any] = [job.body["http_target"][0] for job in jobs]
    called = {(target["http_method"], str(target["uri"]).rpartition("}")[2]) for target in targets}
    assert called == {(route.method, route.path) for route in routes.ROUTES if route.caller == "scheduler"}
    assert all("run_urls.cleanup" in target["uri"] for target in targets)


def test_sweep_runs_every_minute(configuration: Configuration) -> None:
    assert configuration.locals["schedules"]["sweep"]["schedule"] == "* * * * *"


def test_bucket_notifies_the_right_route(configuration: Configuration) -> None:
    (subscription,) = configuration.instances("google_pubsub_subscription")
    (route,) = [route for route in routes.ROUTES if route.caller == "bucket"]
    assert subscription.body["push_config"][0]["push_endpoint"] == f"${{local.run_urls.{route.function}}}{route.path}"


# Of a new project: Cloud Run's regional quotas CpuAllocPerProjectRegion and MemAllocPerProjectRegion.
NEW_PROJECT = {"vcpu": 20.0, "gib": 40.0}


def gib(row: Body) -> float:
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", row["memory"]).groups()  # type: ignore[union-attr]
    return int(number) * MIB_OF_UNIT[unit] / 1024


def test_all_functions_fit_into_a_new_projects_quota(configuration: Configuration) -> None:
    """Cloud Run refuses a function that alone asks for more; together they meet the quota when all are busy."""
    rows = configuration.locals["functions"].values()
    assert all(body["service_config"][0]["available_cpu"] == "1" for body in functions(configuration).values())
    assert sum(row["max"] for row in rows) <= NEW_PROJECT["vcpu"]
    assert sum(row["max"] * gib(row) for row in rows) <= NEW_PROJECT["gib"]


def test_variables_know_the_functions_and_a_new_projects_quota(configuration: Configuration) -> None:
    quota = configuration.variables["cloud_run_quota"]["default"]
    assert {name: float(value) for name, value in quota.items()} == NEW_PROJECT
    (validation,) = configuration.variables["max_instances"]["validation"]
    assert set(re.findall(r'"(\w+)"', validation["condition"])) == set(FUNCTIONS)


def test_no_environment_exceeds_its_stated_quota() -> None:
    """More instances than a new project's quota need their own `cloud_run_quota`."""
    for tfvars in (INFRA / "environments").glob("*.tfvars"):
        assert ("max_instances" in (text := tfvars.read_text())) <= ("cloud_run_quota" in text), tfvars.name
