"""Who may go on with a flow in this browser, and in whose name.

A person whom we know: that person, signed in. A person whom an app vouches for has no sign-in here: for their flow the
link itself lets a browser in, 256 bits that live for ten minutes and end with the first consent. The first browser that
does anything with it keeps it: from then on it is nobody else's. Against a link that was passed on, the page says which
app asks, for which of its users.

Pure. Above: flows.
"""

from __future__ import annotations

import hmac

from gateway.errors import FlowNotFoundError, NobodyThereError
from gateway.oauth.consent import digest
from gateway.types import Flow, FlowStatus, Principal


def may_enter(flow: Flow, visitor: Principal | None, browser_token: str | None) -> bool:
    """Whether a browser may see the flow. `visitor` is who is signed in there, `browser_token` what tells it apart."""
    if flow.principal.app is None:
        return visitor is not None and flow.principal.same_person(visitor)
    if flow.browser_hash is None:
        return flow.status is FlowStatus.PENDING
    return browser_token is not None and hmac.compare_digest(digest(browser_token), flow.browser_hash)


def refusal(flow: Flow | None, visitor: Principal | None) -> FlowNotFoundError:
    """Why a browser may not see a flow. Whoever is nobody might be the person, and learns no more than that.

    But for an app's user, who cannot sign in here.
    """
    if visitor is None and (flow is None or flow.principal.app is None):
        return NobodyThereError("Sign in first, and open the link again.")
    return not_found()


def not_found() -> FlowNotFoundError:
    """One for all: unknown, expired, used, somebody else's."""
    return FlowNotFoundError("This link is not, or no longer, valid. Call the tool again to get a new one.")
