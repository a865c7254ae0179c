"""Which provider and model generate a job's video after its start was rejected. Pure.

Only after a rejection: nothing has started then, so nothing is generated or billed twice. A start whose outcome is
unknown is never moved. A model retired by its provider is replaced by its successor, as in a new request; another
provider's model is used only for a request with `failover`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shared.core import catalog, lifecycle, pricing
from shared.core.catalog import MODELS, Model, Offering
from shared.core.documents import Job, LiveSettings, VideoRequest, Warned

RETIRED = "MODEL_RETIRED"
BUSY = "PROVIDER_BUSY"
# Rejections that aren't about the prompt, in words: a prompt that one provider blocks isn't sent to another.
_REASONS = {RETIRED: "is no longer offered", "PROVIDER_DENIED": "couldn't be used", BUSY: "was busy"}


@dataclass(frozen=True)
class Alternative:
    """The provider to use instead, and the request adapted to its model. `warning` is for the client."""

    provider: str
    request: VideoRequest
    warning: Warned


def alternative(job: Job, rejection: str, offering: Offering, config: LiveSettings) -> Alternative | None:
    """The provider and model to use after the job's start was rejected; None if no other may or can make the video.

    A user never pays more than was agreed. So failover skips models that cost more; the successor of a retired model
    generates the video for the old price.
    """
    if rejection not in _REASONS or not lifecycle.movable(job):
        return None
    rejected_by = (*job.rejected_by, catalog.offer(job.provider, job.request.model))
    for model, provider in _candidates(job, rejection, offering, config):
        request = job.request.model_copy(update={"model": model.id})
        if catalog.offer(provider, model.id) in rejected_by or not catalog.makes(model, request):
            continue
        if rejection == RETIRED or pricing.cost(request, config) <= job.cost:
            return Alternative(provider, request, _warning(job, rejection, model))
    return None


def _candidates(job: Job, rejection: str, offering: Offering, config: LiveSettings) -> Iterator[tuple[Model, str]]:
    """Models and their providers, most similar first."""
    present, retired = MODELS.get(job.request.model), rejection == RETIRED
    similar: list[Model] = []
    if present is not None and (retired or job.failover):
        similar.append(present)
    if present is not None and retired and config.allow_replacements:
        similar += [MODELS[name] for name in present.successors]
    for model in similar:
        yield from ((model, provider) for provider in offering.providers_of(model))
    if job.failover:
        for model in MODELS.values():
            yield from ((model, provider) for provider in offering.providers_of(model) if provider != job.provider)


def _warning(job: Job, rejection: str, model: Model) -> Warned:
    if rejection == RETIRED and model.id != job.request.model:
        message = f"{job.request.model} was retired, so {model.id} generates the video. {catalog.RETIRED_DIFFERS}"
        return Warned(code="MODEL_REPLACED", message=message)
    made_by = model.id if model.id != job.request.model else "its other provider"
    message = f"{job.request.model} {_REASONS[rejection]}, so {made_by} generates the video."
    return Warned(code="FAILED_OVER", message=message)
