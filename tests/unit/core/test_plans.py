"""Plans: what is not set is as for everybody."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from shared.core import plans
from shared.core.documents import LiveSettings, Plan
from shared.core.plans import plan_of


def test_without_plans_the_general_limits_apply() -> None:
    terms = plan_of(LiveSettings(active_jobs_limit=7, requests_per_minute=9, daily_credits=50), "default")
    assert terms == plans.Terms(9, 7, False, 50)


def test_plan_overrides_what_it_sets_including_zero() -> None:
    config = LiveSettings(plans={"pro": Plan(active_jobs_limit=0, may_wait=True, daily_credits=0)}, daily_credits=50)
    assert plan_of(config, "pro") == plans.Terms(100, 0, True, 0)
    assert plan_of(config, "default") == plans.Terms(100, 3, False, 50)


def test_removed_plan_falls_back_to_general_limits() -> None:
    assert plan_of(LiveSettings(), "gone") == plan_of(LiveSettings(), "default")


def test_assignable_plans_are_the_configured_and_the_default() -> None:
    assert plans.names(LiveSettings(plans={"pro": Plan()})) == {"default", "pro"}


@pytest.mark.parametrize("wrong", [{"pro": {"requests_per_minute": 0}}, {"a plan": {}}, {"pro": {"daily_credits": -1}}])
def test_plans_have_limits(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LiveSettings.model_validate({"plans": wrong})
