"""Stored documents as clients see them. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

from shared.api.accounts import AccountView, TransactionPage, TransactionView
from shared.api.models import ExtensionView, ModelView
from shared.api.videos import Canceled, Cancellation, InputView, Video, VideoError, VideoFile, VideoPage, WarningView
from shared.core import catalog, pricing
from shared.core.cancellation import Terms
from shared.core.catalog import Model
from shared.core.documents import (
    Account,
    CancelReason,
    Input,
    Job,
    LiveSettings,
    Stage,
    Transaction,
    VideoRequest,
    Warned,
)
from shared.core.errors import CATALOG, public_reason
from shared.core.plans import plan_of

LAST_BEFORE_STORING = 95
STORING_PROGRESS = 98


def progress(job: Job, now: datetime) -> int:
    """0 to 100. Never decreases, approaches 95 however long it takes, and is 100 only once the video can be played."""
    if job.stage is Stage.COMPLETED:
        return 100
    if job.stage is Stage.STORING:
        return STORING_PROGRESS
    if job.started_at is None:
        return 0
    if job.storing_started_at is not None:
        return STORING_PROGRESS
    if job.final:
        # Not the progress at its end: a client may already have seen a higher value a moment later.
        return LAST_BEFORE_STORING
    elapsed_s = (now - job.started_at).total_seconds()
    return int(LAST_BEFORE_STORING * (1.0 - math.exp(-2.0 * max(elapsed_s, 0.0) / job.expected_s)))


def video(job: Job, now: datetime) -> Video:
    request = job.request
    return Video(
        id=job.id,
        status=job.status,
        stage=job.stage,
        progress=progress(job, now),
        model=request.model,
        prompt=request.prompt,
        seconds=seconds(request),
        size=request.size,
        aspect_ratio=request.aspect_ratio,
        resolution=request.resolution,
        negative_prompt=request.negative_prompt,
        seed=request.seed,
        generate_audio=request.generate_audio,
        count=request.count,
        cost=job.cost,
        refunded=job.refunded,
        expected_seconds=job.expected_s,
        error=_error(job),
        files=_files(job),
        inputs=[_input(each) for each in request.inputs],
        extends=request.extends.job if request.extends else None,
        added_seconds=request.seconds if request.extends else None,
        warnings=warnings(job.warnings),
        project=job.project,
        labels=job.labels,
        created_at=job.created_at,
        started_at=job.started_at,
        completed_at=job.completed_at,
        expires_at=job.expires_at,
        version=job.version,
    )


# The reason for a refund, by the terms of the cancellation.
_CANCEL_REASONS: Mapping[CancelReason, str] = {
    "not_begun": "Generation hasn't started.",
    "billed": "Generation has started, and the provider bills for it even if it's stopped.",
    "not_billed": "Generation can be stopped free of charge.",
    "uncertain": "It isn't known yet whether generation has started. If it hasn't, the job fails with a full refund.",
    "policy": "The operator's policy decides the refund once generation has started.",
    "daily_limit": "Generation has started, and today's (UTC) refunds for started generations are used up.",
}


def cancellation(job: Job, terms: Terms) -> Cancellation:
    kept = job.cost - terms.refund
    return Cancellation(
        video=job.id,
        stage=job.stage,
        cost=job.cost,
        cancel_returns=terms.refund,
        kept=kept,
        reason=terms.reason,
        message=f"{_returned(terms.refund, kept)} {_CANCEL_REASONS[terms.reason]}",
    )


def canceled(job: Job, now: datetime) -> Canceled:
    kept = job.cost - job.refunded
    message = _returned(job.refunded, kept)
    return Canceled(video=video(job, now), refunded=job.refunded, kept=kept, message=message)


def _returned(refund: int, kept: int) -> str:
    return f"Refund: {refund} credits; {kept} are kept." if kept else f"Refund: all {refund} credits."


def seconds(request: VideoRequest) -> str:
    """The length of the finished file in seconds, as text."""
    return str(round(request.file_seconds))


def warnings(warned: Sequence[Warned]) -> list[WarningView]:
    return [WarningView(code=each.code, message=each.message) for each in warned]


def _input(given: Input) -> InputView:
    return InputView(
        role=given.role,
        content_type=given.content_type,
        size_bytes=given.size_bytes,
        width=given.width_px,
        height=given.height_px,
    )


def video_page(jobs: list[Job], limit: int, now: datetime) -> VideoPage:
    """A page of `jobs`, which has one more than `limit` if there is a next page."""
    return VideoPage.of([video(job, now) for job in jobs[:limit]], has_more=len(jobs) > limit)


def transaction(entry: Transaction) -> TransactionView:
    return TransactionView(
        id=entry.id,
        type=entry.type,
        amount=entry.amount,
        balance_after=entry.balance_after,
        sequence=entry.sequence,
        video=entry.job,
        description=entry.description,
        created_at=entry.created_at,
    )


def transaction_page(entries: list[Transaction], limit: int) -> TransactionPage:
    return TransactionPage.of([transaction(entry) for entry in entries[:limit]], has_more=len(entries) > limit)


def model(model: Model, default: bool, offering: catalog.Offering, config: LiveSettings) -> ModelView:
    return ModelView(
        id=model.id,
        created=model.released,
        owned_by="google",
        default=default,
        aliases=list(model.aliases),
        replaces=catalog.replaced_by(model, offering) if config.allow_replacements else [],
        seconds=list(model.seconds),
        default_seconds=model.default_seconds,
        sizes=model.sizes,
        default_size=catalog.DEFAULT_SIZE,
        seconds_at_high_resolution=list(model.high_resolution_seconds or model.seconds),
        max_count=model.max_count,
        negative_prompt=model.negative_prompt,
        seed=model.seed,
        silent=model.silent,
        person_generation=model.person_generation,
        first_frame=model.first_frame,
        last_frame=model.last_frame,
        seconds_with_last_frame=list((model.last_frame_seconds or model.seconds) if model.last_frame else ()),
        max_reference_images=model.reference_images,
        seconds_with_reference_images=list(
            (model.reference_seconds or model.seconds) if model.reference_images else ()
        ),
        extension=_extension(model, config),
        credits_per_second=pricing.credits_per_second(model.id, catalog.DEFAULT_RESOLUTION, config),
        credits_per_second_by_resolution={
            resolution: pricing.credits_per_second(model.id, resolution, config) for resolution in model.resolutions
        },
        expected_seconds=config.expected_times.get(model.id, model.expected_s),
    )


def _extension(model: Model, config: LiveSettings) -> ExtensionView | None:
    extension = model.extension
    if extension is None:
        return None
    return ExtensionView(
        seconds=list(extension.seconds),
        min_source_seconds=extension.min_source_s,
        max_source_seconds=extension.max_source_s,
        max_total_seconds=extension.max_total_s,
        resolutions=list(extension.resolutions),
        credits_per_second=pricing.credits_per_added_second(model.id, catalog.DEFAULT_RESOLUTION, config),
        credits_per_second_by_resolution={
            resolution: pricing.credits_per_added_second(model.id, resolution, config)
            for resolution in extension.resolutions
        },
    )


def account(account: Account, config: LiveSettings) -> AccountView:
    return AccountView(
        id=account.id,
        email=account.email,
        email_verified=account.email_verified,
        display_name=account.display_name,
        locale=account.locale,
        tenant=account.tenant,
        role=account.role,
        plan=account.plan,
        balance=account.balance,
        active_jobs=list(account.active_jobs),
        active_jobs_limit=plan_of(config, account.plan).active_jobs_limit,
        created_at=account.created_at,
    )


def _error(job: Job) -> VideoError | None:
    if job.error is None:
        return None
    entry = CATALOG[job.error.code]
    return VideoError(
        code=job.error.code,
        message=job.error.message,
        reason=public_reason(job.error.code, job.error.reason),
        retryable=entry.retryable,
        suggested_action=entry.suggested_action,
    )


def _files(job: Job) -> list[VideoFile]:
    if job.stage is not Stage.COMPLETED:
        return []
    return [
        VideoFile(
            index=index,
            size_bytes=output.size_bytes or 0,
            crc32c=output.crc32c or "",
            seconds=output.seconds or 0.0,
            width=output.width_px or 0,
            height=output.height_px or 0,
        )
        for index, output in enumerate(job.outputs)
    ]
