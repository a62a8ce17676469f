"""Every page of the gateway in its states, as data: what it is called, which route answers, and how one gets there.

A route that answers a person and has no state here fails a test. The order counts in one place: what breaks the gateway
comes last. Below: ways. Above: the examination, and the pictures that `docs/pages.md` shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.types import CredentialKind, Requirement
from tests.pages import ways
from tests.pages.hall import ANY_APP, DEVICE, SITE
from tests.pages.ways import Way, and_then, fill, forge, press, program, to

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; form-action 'self'{}; "
    "frame-ancestors 'none'; base-uri 'none'"
)
PAGE = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": _POLICY.format(""),
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
}
FORM = PAGE | {"referrer-policy": "same-origin"}


def leading_to(*places: str) -> dict[str, str]:
    """A page whose form leads on to another site."""
    everywhere = ("https:", "http://127.0.0.1:*", "http://localhost:*", *places)
    return FORM | {"content-security-policy": _POLICY.format("".join(f" {place}" for place in everywhere))}


AWAY = leading_to()
CONSENT = leading_to("http://127.0.0.1:*", "http://localhost:*")
FORMS = frozenset({"form"})
NONE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class State:
    """`route` is method and path of the route whose answer it is, or whose door. `cookies` are those that
    come with the page. `says` is for `docs/pages.md`."""

    name: str
    route: str
    heading: str
    says: str
    way: Way
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: PAGE)
    cookies: frozenset[str] = NONE


ACME = Requirement("acme", scopes=frozenset({"openid", "email"}))
HUBSPOT = Requirement("hubspot", scopes=frozenset({"crm.objects.contacts.read", "crm.objects.deals.read"}))
KEY, LOGIN = Requirement("openai", CredentialKind.API_KEY), Requirement("freshdesk", CredentialKind.BASIC)
GONE = "This link does not work (any more)"

SIGNING_IN = [
    State(
        "sign-in", "GET /login", "Sign in",
        "With the company's identity provider, with an account of the gateway, or with either.",
        to("/login?next=/connections"), 200, AWAY, FORMS,
    ),
    State(
        "sign-in-wrong-password", "POST /login", "Sign in",
        "The same words for a wrong password and for an account that does not exist.",
        and_then(to("/login"), fill(email="alice@example.com", password="not the password"), press("Sign in")),
        403, AWAY, FORMS,
    ),
    State(
        "sign-in-too-many-tries", "POST /login", "Sign in",
        "After some guesses, each further one costs a wait, which is longer each time.",
        ways.too_many_tries, 429, AWAY | {"retry-after": "30"}, FORMS,
    ),
    State(
        "sign-in-company-said-no", "GET /login", "Sign in",
        "The identity provider did not let the person in; the address holds nothing that it sent.",
        ways.no_at_the_company, 200, AWAY, frozenset({"form", "sign-in-trouble"}),
    ),
    State(
        "second-factor-code", "GET /login/code", "Now your code",
        "The second step, for accounts that have one.",
        ways.code, 200, FORM, FORMS,
    ),
    State(
        "second-factor-wrong-code", "POST /login/code", "Now your code",
        "A wrong code, or one that was used before.",
        and_then(ways.code, fill(code="000 000"), press("Sign in")), 403, FORM, FORMS,
    ),
    State(
        "invitation", "GET /invitation/{code}", "Welcome, Grace Hopper",
        "An invitation works once; to look at it changes nothing, for mail programs do that before people.",
        ways.invitation, 200, FORM, FORMS,
    ),
    State(
        "invitation-easy-password", "POST /invitation/{code}", "Welcome, Grace Hopper",
        "A password that is tried first is not taken.",
        and_then(ways.invitation, fill(password="password1234"), press("Set password")), 422, FORM, FORMS,
    ),
    State(
        "invitation-used", "GET /invitation/{code}", "No invitation (any more)",
        "Used, expired, or made up: all look the same.",
        to("/invitation/used-already"), 404,
    ),
    State(
        "second-factor-enrolment", "GET /login/second-factor", "Add your phone as a second factor",
        "Offered to whoever has an account of the gateway: a picture to scan, or a key to type.",
        to("/login/second-factor", "alice"), 200, FORM, FORMS,
    ),
    State(
        "second-factor-enrolment-wrong-code", "POST /login/second-factor", "Add your phone as a second factor",
        "It is on only when a code of the phone has proved that it works.",
        and_then(to("/login/second-factor", "alice"), fill(code="000000"), press("Turn on")), 422, FORM, FORMS,
    ),
    State(
        "second-factor-on", "GET /login/second-factor", "Your second factor is on",
        "And so it stays until an invitation begins anew.",
        to("/login/second-factor", "tess"),
    ),
    State(
        "signed-in", "GET /login/onward", "You are signed in",
        "A step of its own on the way back to a program; it is passed at once.",
        ways.onward,
    ),
    State(
        "sign-out", "GET /logout", "Sign out?",
        "Only this browser is signed out: programs that were let in go on working.",
        to("/logout", "alice"), 200, FORM, FORMS,
    ),
    State(
        "signed-out", "GET /logout", "You are signed out", "The session has ended, not only its cookie.",
        and_then(to("/logout", "gone"), press("Sign out")), 200, FORM, FORMS,
    ),
]  # fmt: skip

PROGRAMS = [
    State(
        "consent-site", "GET /authorize", "Let Claude use your tools?",
        "A program chooses its own name, so the page leads with what it cannot choose: where the answer goes.",
        program("Claude", SITE, scope="tools offline_access"), 200, CONSENT, FORMS,
    ),
    State(
        "consent-device", "GET /authorize", "Let Inspector use your tools?",
        "A program on the person's own computer: any could say that it was this one, so it asks every time.",
        program("Inspector", DEVICE), 200, CONSENT, FORMS,
    ),
    State(
        "consent-app", "GET /authorize", "Let Cursor use your tools?",
        "An app that is opened by an address of its own kind.",
        program("Cursor", ANY_APP), 200, leading_to("cursor:"), FORMS,
    ),
    State(
        "consent-described-elsewhere", "GET /authorize", "Let Notes use your tools?",
        "The program describes itself at one site and has its answers sent to another.",
        ways.described_elsewhere, 200, CONSENT, FORMS,
    ),
    State(
        "consent-again", "GET /authorize", "Let Inspector use your tools?",
        "Asked once more, it says when the person said yes before.",
        ways.allowed_before, 200, CONSENT, FORMS,
    ),
    State(
        "programs-empty", "GET /programs", "Programs you let in",
        "Before one has let a program in.",
        to("/programs", "empty"), 200, FORM, FORMS,
    ),
    State(
        "programs", "GET /programs", "Programs you let in",
        "Those that one said yes to, each with what it could not make up.",
        to("/programs", "alice"), 200, FORM, FORMS,
    ),
    State(
        "program-ended", "GET /programs", "Programs you let in",
        "One press ends what a program may do, within seconds.",
        ways.end_a_program, 200, FORM, FORMS,
    ),
    State(
        "plug-in", "GET /hosts", "Plug the gateway into your program",
        "What to give to each program: one click where it has one, else something to paste.",
        to("/hosts", "alice"),
    ),
    State(
        "consent-wrong-address", "GET /authorize", "That request cannot be answered",
        "A program that wants the answer sent where it may not go: nobody is sent anywhere.",
        ways.wrong_redirect, 400,
    ),
    State(
        "consent-forged", "POST /authorize", "Please press the button once more",
        "A form that this browser was not given for this very request.",
        and_then(program("Claude", SITE), forge("form_token", "0" * 64), press("Allow")), 403,
    ),
]  # fmt: skip

CONNECTING = [
    State(
        "connect", "GET /connect/{flow}", "Connect HubSpot",
        "A tool needs an account: who asks, for which tool, in whose name, and what tools may do with it.",
        ways.asked(HUBSPOT), 200, AWAY, FORMS,
    ),
    State(
        "connect-key", "GET /connect/{flow}", "Connect OpenAI",
        "A key that the person made at the provider. It is never shown again.",
        ways.asked(KEY, tool="transcribe"), 200, FORM, FORMS,
    ),
    State(
        "connect-key-refused", "POST /connect/{flow}", "Connect OpenAI",
        "What cannot be a key.",
        and_then(ways.asked(KEY, tool="transcribe"), fill(api_key="two words"), press("Connect")),
        422, FORM, frozenset({"form", "typed"}),
    ),
    State(
        "connect-password", "GET /connect/{flow}", "Connect Freshdesk",
        "A user name and a password, for providers that know nothing else.",
        ways.asked(LOGIN, tool="list_tickets"), 200, FORM, FORMS,
    ),
    State(
        "connect-with-a-field", "GET /connect/{flow}", "Connect Zendesk",
        "What only the person knows, such as the address of their account.",
        ways.asked(Requirement("zendesk", scopes=frozenset({"tickets:read"})), tool="list_tickets"), 200, AWAY, FORMS,
    ),
    State(
        "connect-app-user", "GET /connect/{flow}", "Connect Acme",
        "An app's own user has no sign-in here; so the page says, by name, for whom the account is.",
        ways.app_user("ada@example.com"), 200, AWAY, FORMS,
    ),
    State(
        "connect-again", "GET /connect/{flow}", "Connect Salesforce again",
        "The same account once more, after its access has ended.",
        ways.on_connection("salesforce-alice-at-work.example", "Connect again"), 200, AWAY, FORMS,
    ),
    State(
        "connect-withheld", "GET /connect/{flow}", "Connect Google again",
        "What was asked for before and not granted is said before it is asked for again.",
        ways.on_connection("google-alice-at-studio.example", "Ask again"), 200, AWAY, FORMS,
    ),
    State(
        "connect-another", "GET /connect/{flow}", "Add another HubSpot account",
        "A second account beside the first.",
        ways.on_connection("hubspot-alice-at-work.example", "Add another account", "Add another account"),
        200, AWAY, FORMS,
    ),
    State(
        "connect-more", "GET /connect/{flow}", "Connect HubSpot again",
        "Tools need more than the account was asked for.",
        ways.on_connection("hubspot-alice-at-work.example", "Allow that too"), 200, AWAY, FORMS,
    ),
    State(
        "connect-unasked", "GET /connect/{flow}", "Connect HubSpot",
        "An account that no tool has asked for yet.",
        and_then(to("/connections", "empty"), press("Connect HubSpot")), 200, AWAY, FORMS,
    ),
    State(
        "connected", "GET /connect/{flow}/done", "Acme is connected",
        "The callback leads here at once: no code stays in the address or in the history.",
        ways.consented(ACME),
    ),
    State(
        "connected-not-everything", "GET /connect/{flow}/done", "Acme is connected",
        "The provider granted less than was asked.",
        ways.granted_less,
    ),
    State(
        "connected-another-account", "GET /connect/{flow}/done", "You connected another account",
        "Another account than the one that was wanted: nothing is overwritten.",
        ways.mistaken,
    ),
    State(
        "declined", "GET /connect/{flow}/done", "Acme was not connected",
        "No, here or at the provider.",
        and_then(ways.asked(ACME, tool="declined"), press("Not now")),
    ),
    State(
        "callback-refused-by-provider", "GET /oauth/callback/{provider}", "The account was not connected",
        "The provider sent the person back with an error. Its own words are not repeated.",
        ways.come_back(error="server_error", error_description="<script>alert(1)</script>"), 400,
    ),
    State(
        "failed", "GET /connect/{flow}/done", "Acme could not be connected",
        "How such a consent is shown afterwards.",
        ways.failed,
    ),
    State(
        "callback-said-twice", "GET /oauth/callback/{provider}", "The account was not connected",
        "An answer that says one thing twice is nobody's.",
        to("/oauth/callback/acme?state=a&state=b", "alice"), 400,
    ),
    State(
        "provider-down", "GET /oauth/callback/{provider}", "The provider does not answer",
        "Said yes, and then the provider broke down.",
        ways.provider_down, 503,
    ),
    State(
        "connect-after-sign-in", "GET /connect/{flow}", "Connect HubSpot",
        "Whoever opens a link and is not signed in does so first, and comes back to it.",
        ways.signed_in_on_the_way(HUBSPOT), 200, AWAY, FORMS,
    ),
    State(
        "link-forwarded", "GET /connect/{flow}", GONE,
        "Somebody else's link: it does not even say that it is one.",
        ways.forwarded, 404,
    ),
    State(
        "link-expired", "GET /connect/{flow}", GONE,
        "After ten minutes.",
        ways.expired, 404,
    ),
    State(
        "callback-in-another-browser", "GET /oauth/callback/{provider}", "Another browser began this",
        "The browser that comes back has to be the one that left.",
        ways.another_browser, 403,
    ),
]  # fmt: skip

OWN = [
    State(
        "front", "GET /", "Tools that act for you, with your own accounts",
        "What this is, and what to give to a program.",
        to("/", "alice"),
    ),
    State(
        "connections-empty", "GET /connections", "My connections",
        "Before anything is connected.",
        to("/connections", "empty"), 200, FORM, FORMS,
    ),
    State(
        "connections", "GET /connections", "My connections",
        "Every account, what tools may do with it, how it is, and what was done lately.",
        to("/connections", "alice"), 200, FORM, FORMS,
    ),
    State(
        "connections-default", "GET /connections", "My connections",
        "Another account is the default from now on.",
        ways.on_connection("google-alice-at-studio.example", "Make it the default", "Use by default"), 200, FORM, FORMS,
    ),
    State(
        "disconnect", "GET /connections", "My connections",
        "Before an account is disconnected, what that means.",
        ways.before_disconnecting, 200, FORM, FORMS,
    ),
    State(
        "disconnected", "POST /connections/{connection}/disconnect", "Acme is disconnected",
        "A receipt: what is so here, and what the provider has confirmed.",
        ways.disconnected,
    ),
    State(
        "disconnected-still-open", "POST /connections/{connection}/disconnect", "OpenAI is disconnected",
        "Where the access at the provider is still there, it says so, and how to end it.",
        ways.key_disconnected,
    ),
    State(
        "history-empty", "GET /connections/history", "Done in my name",
        "Before the first call.",
        to("/connections/history", "empty"),
    ),
    State(
        "history", "GET /connections/history", "Done in my name",
        "Every call in one's name: which program, which account, how it ended.",
        to("/connections/history", "alice"),
    ),
    State(
        "history-changes", "GET /connections/history", "Done in my name",
        "And what became of accounts and programs.",
        to("/connections/history?what=changes", "alice"),
    ),
    State(
        "history-end", "GET /connections/history", "Done in my name",
        "The last page.",
        and_then(to("/connections/history", "alice"), ways.follow("Older")),
    ),
]  # fmt: skip

TROUBLE = [
    State(
        "form-refused", "POST /connections/{connection}/disconnect", "Please press the button once more",
        "A form that was open too long, or came from elsewhere.",
        ways.stale_form, 403,
    ),
    State(
        "signed-out-meanwhile", "POST /connections/{connection}/disconnect", "Who is there?",
        "The session ended while the page was open.",
        ways.signed_out_meanwhile, 401,
    ),
    State("not-found", "GET None", "Nothing here", "No such page.", to("/connections/no/such/page", "alice"), 404),
    State(
        "not-that-way", "GET None", "Not that way", "An address that is used in another way.",
        to("/connections/x/disconnect", "alice"), 405, PAGE | {"allow": "POST"},
    ),
    State(
        "crashed", "GET /connections", "Something broke",
        "A fault of the gateway: a reference, and nothing of the cause.",
        ways.crash, 500,
    ),
    State(
        "database-down", "GET /connections", "Back in a moment",
        "The gateway's database does not answer.",
        ways.database_gone, 503, PAGE | {"retry-after": "5"},
    ),
    State(
        "cannot-tell", "GET /connections", "Back in a moment",
        "The gateway cannot check who is there: it lets nobody in.",
        ways.nobody_can_tell, 503, PAGE | {"retry-after": "5"},
    ),
]  # fmt: skip

STATES = [*SIGNING_IN, *PROGRAMS, *CONNECTING, *OWN, *TROUBLE]
