"""How a user accepts an offer: asked by the client, or by the assistant, which then calls a second time."""

from __future__ import annotations

from functools import partial
from typing import Final

import anyio.to_thread
from mcp import types
from mcp_types.version import is_version_at_least

from rushes.failure import Failure, Json
from rushes.mcp_calls import Answer, Calls, Context, answer
from rushes.mcp_writes import TERMS_CHANGED, WRITES, Proposal, Write
from rushes.offers import KEPT_FOR_S, Offer, Offers

# From this revision on a server asks by answering the call with a question, and is called again with the reply.
ASKS_BY_ANSWERING: Final = "2026-07-28"
QUESTION: Final = "confirm"
# Accepting is the answer; there is nothing to fill in.
NOTHING_TO_FILL_IN: Final[Json] = {"type": "object", "properties": {}}


class Acceptance:
    """One call of a tool that changes something, up to the user's yes, and what follows from it."""

    def __init__(self, calls: Calls, offers: Offers, tool: str, write: Write, who: str) -> None:
        self._calls = calls
        self._offers = offers
        self._tool = tool
        self._write = write
        self._subject = {"tool": tool, "as": who, "request": write.identity()}

    async def in_two_calls(self, accepted: str | None) -> Answer:
        """Where the client can't ask: the first call returns an offer; the second one has its id, and acts on it."""
        offer = self._offers.get(accepted, self._subject)
        if offer is not None:
            return await self._perform(offer)
        stale = "That offer has expired, or was made for other arguments. " if accepted is not None else ""
        return await self._offer(stale)

    async def by_answering(self, params: types.CallToolRequestParams) -> Answer:
        """Where the client asks its user what a result says, and calls again with the reply."""
        offer = self._offers.get(params.request_state, self._subject)
        reply = (params.input_responses or {}).get(QUESTION)
        if offer is not None and isinstance(reply, types.ElicitResult):
            return await self._decided(offer, reply)
        proposal = await self._calls(self._write.propose)
        offer = self._kept(proposal)
        asked = types.ElicitRequestFormParams(message=proposal.question, requested_schema=NOTHING_TO_FILL_IN)
        return types.InputRequiredResult(
            input_requests={QUESTION: types.ElicitRequest(params=asked)}, request_state=offer.id
        )

    async def by_asking(self, context: Context) -> Answer:
        """Where the client asks its user during the call."""
        proposal = await self._calls(self._write.propose)
        reply = await context.session.elicit_form(proposal.question, NOTHING_TO_FILL_IN, context.request_id)
        return await self._decided(self._offers.make(self._subject, proposal.terms), reply)

    async def _decided(self, offer: Offer, reply: types.ElicitResult) -> Answer:
        if reply.action != "accept":
            how = "The user declined." if reply.action == "decline" else "The user didn't answer."
            return answer(f"{how} Nothing was done, and nothing was charged.", {"object": "declined"})
        return await self._perform(offer)

    async def _perform(self, offer: Offer) -> Answer:
        """Do what the user said yes to, unless its terms have changed since."""
        try:
            done = await self._calls(lambda api: self._write.perform(api, offer))
        except Failure as failure:
            if failure.code not in TERMS_CHANGED:
                raise
            return await self._offer(f"{failure.message} ")
        return answer(*done)

    async def _offer(self, before: str) -> Answer:
        proposal = await self._calls(self._write.propose)
        offer = self._kept(proposal)
        again = f"call {self._tool} again with the same arguments and offer={offer.id}"
        text = (
            f"{before}Nothing has been done yet. Ask the user: {proposal.question}\n"
            f"Once the user confirms, {again}, within {KEPT_FOR_S / 60:.0f} minutes."
        )
        return answer(text, proposal.document(self._tool, offer))

    def _kept(self, proposal: Proposal) -> Offer:
        offer = self._offers.make(self._subject, proposal.terms)
        self._offers.keep(offer)
        return offer


async def accepted(
    calls: Calls, offers: Offers, context: Context, params: types.CallToolRequestParams, arguments: Json
) -> Answer:
    """Call a tool that changes something. Raises Failure.

    Where the user can be asked, what the assistant says of an acceptance doesn't count.
    """
    offer_id = arguments.pop("offer", None)
    # In a thread, since it may read images.
    write = await anyio.to_thread.run_sync(partial(WRITES[params.name], arguments))
    who = await calls(lambda api: api.connection.fingerprint)
    acceptance = Acceptance(calls, offers, params.name, write, who)
    if not _can_ask(context):
        return await acceptance.in_two_calls(offer_id)
    if is_version_at_least(context.protocol_version, ASKS_BY_ANSWERING):
        return await acceptance.by_answering(params)
    return await acceptance.by_asking(context)


def _can_ask(context: Context) -> bool:
    """Whether the client shows its user a form. One that names no kind of elicitation means forms."""
    capabilities = context.session.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)
