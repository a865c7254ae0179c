"""The function `history` as it is, but for its patience with Firestore.

The emulator goes through all documents at each query; Firestore itself reads an index, and is given five seconds.
"""

from shared.gateways import firestore

PATIENCE_S = 60.0

firestore.CALL_TIMEOUT_S = PATIENCE_S
firestore._RETRY = firestore._RETRY.with_timeout(PATIENCE_S)

from functions.history.main import history  # noqa: E402 - the store is patient before anybody imports it

__all__ = ["history"]
