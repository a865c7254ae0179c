"""The minimum for a page of a user's videos: the same query by the official client, and nothing of ours around it.

A function on functions-framework, so that what its requests take is comparable with ours. `GET /{account}?limit=20`.
"""

from __future__ import annotations

import os
from functools import cache

import functions_framework.aio
from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared.platform.identity import DEFAULT_TENANT


@cache
def client() -> firestore.AsyncClient:
    return firestore.AsyncClient(project=os.environ["GOOGLE_CLOUD_PROJECT"])


@functions_framework.aio.http
async def bare_page(request: Request) -> Response:
    account = request.url.path.strip("/")
    if not account:
        return Response()
    query = (
        client()
        .collection("jobs")
        .where(filter=FieldFilter("tenant", "==", DEFAULT_TENANT))
        .where(filter=FieldFilter("account", "==", account))
        .where(filter=FieldFilter("deleted_at", "==", None))
        .order_by("created_at", direction=firestore.AsyncQuery.DESCENDING)
        .order_by("__name__", direction=firestore.AsyncQuery.DESCENDING)
        .limit(int(request.query_params["limit"]) + 1)
    )
    found = await query.get(timeout=60.0)
    return JSONResponse({"data": [{"id": one.id, "status": one.get("status")} for one in found]})
