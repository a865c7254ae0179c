"""The routes of this package: the caller's account, ledger and API keys; exports and account deletion."""

from __future__ import annotations

from shared.api.account_data import ErasureView, ExportQuery, ExportView
from shared.api.accounts import AccountView, ListTransactionsQuery, TransactionPage, UpdateAccount
from shared.api.api_keys import ApiKeyList, MadeApiKey, NewApiKey, RevokedApiKey
from shared.api.routing import Route
from shared.api.tasks import DurableTaskBody

ROUTES: tuple[Route, ...] = (
    Route("get_account", "GET", "/v1/account", "history", "Get your account and balance", response=AccountView),
    Route(
        "update_account",
        "PATCH",
        "/v1/account",
        "history",
        "Update your profile",
        body=UpdateAccount,
        response=AccountView,
    ),
    Route(
        "create_api_key",
        "POST",
        "/v1/api-keys",
        "history",
        "Create an API key; only this response contains it",
        keys=False,
        recent_sign_in=True,
        body=NewApiKey,
        response=MadeApiKey,
        status=201,
        errors=("LIMIT_REACHED", "EMAIL_NOT_VERIFIED"),
    ),
    Route("list_api_keys", "GET", "/v1/api-keys", "history", "List your API keys", response=ApiKeyList),
    Route(
        "revoke_api_key",
        "DELETE",
        "/v1/api-keys/{id}",
        "history",
        "Revoke an API key",
        keys=False,
        response=RevokedApiKey,
        errors=("NOT_FOUND",),
    ),
    Route(
        "list_transactions",
        "GET",
        "/v1/account/transactions",
        "history",
        "List your credit transactions",
        query=ListTransactionsQuery,
        response=TransactionPage,
    ),
    Route(
        "export_account",
        "POST",
        "/v1/account/export",
        "submit",
        "Export your data",
        response=ExportView,
        status=202,
    ),
    Route(
        "get_export",
        "GET",
        "/v1/account/exports/{id}",
        "history",
        "Get an export, with its files once it's completed",
        query=ExportQuery,
        response=ExportView,
        errors=("NOT_FOUND",),
    ),
    Route(
        "delete_account",
        "DELETE",
        "/v1/account",
        "submit",
        "Delete your account and all its videos",
        keys=False,
        recent_sign_in=True,
        response=ErasureView,
        status=202,
    ),
    Route(
        "chore",
        "POST",
        "/tasks/chore",
        "poll",
        "Advance an export or a deletion by one step",
        caller="queue",
        body=DurableTaskBody,
        status=204,
    ),
)
