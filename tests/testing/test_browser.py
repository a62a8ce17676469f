"""The browser without a browser: what it reads off a page, what it presses, and when it stops."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.testing.browser import Browser, LostError
from gateway.testing.page import read_page

SITE = "https://site.example"


def browsing(routes: list[Route]) -> Browser:
    return Browser(httpx2.AsyncClient(transport=httpx2.ASGITransport(Starlette(routes=routes))))


def says(html: str) -> Callable[[Request], Response]:
    return lambda request: HTMLResponse(html)


async def echo(request: Request) -> Response:
    form = await request.form()
    return PlainTextResponse(" ".join(f"{name}={value}" for name, value in form.items()))


def test_a_page_is_read_as_a_person_sees_it() -> None:
    page = read_page(
        f"{SITE}/a/b",
        200,
        """<html><head><title> My
        page </title><style>p { color: red }</style></head><body><p>Hello  <b>there</b></p><script>var x</script>
        <a href="../c">Go <i>on</i></a>
        <form method="POST" action="save"><input name="n"><input type="checkbox" name="k" checked>
        <button type="button">Nothing</button><button name="go" value="1">Save  it</button></form></body></html>""",
    )

    assert page.title == "My page"
    assert page.text == "Hello there Go on Nothing Save it"
    assert [(link.label, link.url) for link in page.links] == [("Go on", f"{SITE}/c")]
    (form,) = page.forms
    assert (form.action, form.method) == (f"{SITE}/a/save", "post")
    assert [button.label for button in form.buttons] == ["Save it"]


@pytest.mark.parametrize("html", ["", "<form", "</form></a></button>", "<form><button>", "<title>", "<a href=x"])
def test_broken_html_is_still_a_page(html: str) -> None:
    assert read_page(SITE, 200, html).status == 200


async def test_a_form_is_sent_as_a_browser_would_send_it() -> None:
    html = """<form method="post" action="/echo">
      <input type="hidden" name="csrf" value="token"> <input name="who"> <input type="email" name="mail" value="kept">
      <input type="checkbox" name="off"> <input type="checkbox" name="on" checked value="yes">
      <input type="radio" name="pick" value="a" checked> <input type="radio" name="pick" value="b">
      <input type="submit" name="do" value="Later"> <button name="do" value="now">Do it now</button></form>"""
    async with browsing([Route("/", says(html)), Route("/echo", echo, methods=["POST"])]) as browser:
        page = await browser.press(await browser.open(f"{SITE}/"), "now", user="bob")

    assert page.html == "csrf=token who=bob mail=kept on=yes pick=a do=now"


async def test_values_by_name_win() -> None:
    html = '<form method="post" action="/echo"><input type="password" name="api_key"><button>Save</button></form>'
    async with browsing([Route("/", says(html)), Route("/echo", echo, methods=["POST"])]) as browser:
        page = await browser.consent(f"{SITE}/", values={"api_key": "k-1"})

    assert page.html == "api_key=k-1"


async def test_a_get_form_puts_its_values_in_the_query() -> None:
    html = '<form action="/find"><input name="q"><button>Continue</button></form>'

    async def find(request: Request) -> Response:
        return PlainTextResponse(str(request.query_params))

    async with browsing([Route("/", says(html)), Route("/find", find)]) as browser:
        assert (await browser.consent(f"{SITE}/", "ada")).html == "q=ada"


async def test_cookies_are_kept_and_redirects_followed() -> None:
    async def enter(request: Request) -> Response:
        answer = RedirectResponse("/inside", 303)
        answer.set_cookie("seen", "yes", httponly=True)
        return answer

    async def inside(request: Request) -> Response:
        return PlainTextResponse(request.cookies.get("seen", "no"))

    async with browsing([Route("/", enter), Route("/inside", inside)]) as browser:
        page = await browser.open(f"{SITE}/")

        assert page.html == "yes"
        assert browser.trail == ["GET / -> 303", "GET /inside -> 200"]


async def test_a_form_is_posted_with_the_origin_of_its_page() -> None:
    async def show(request: Request) -> Response:
        return PlainTextResponse(request.headers["origin"])

    html = '<form method="post" action="/show"><button>Connect</button></form>'
    async with browsing([Route("/", says(html)), Route("/show", show, methods=["POST"])]) as browser:
        assert (await browser.consent(f"{SITE}/?x=1")).html == SITE


async def test_a_person_who_says_no_still_connects_and_signs_in() -> None:
    connect = '<form method="post" action="/1"><button>Not now: cancel</button><button>Connect</button></form>'
    sign_in = '<form method="post" action="/2"><input name="u"><button>Cancel</button><button>Log in</button></form>'
    consent = '<form method="post" action="/yes"><button>Continue</button></form><a href="/no">[ Cancel ]</a>'
    routes = [
        Route("/", says(connect)),
        Route("/1", says(sign_in), methods=["POST"]),
        Route("/2", says(consent), methods=["POST"]),
        Route("/yes", says("allowed"), methods=["POST"]),
        Route("/no", says("refused")),
    ]
    async with browsing(routes) as browser:
        assert (await browser.consent(f"{SITE}/")).text == "allowed"
        assert (await browser.consent(f"{SITE}/", approve=False)).text == "refused"


async def test_a_page_that_leads_on_by_itself_is_waited_for() -> None:
    onward = says("<meta http-equiv='refresh' content='0; url=/there?a=1&amp;b=2'><form><button>No</button></form>")

    async with browsing([Route("/", onward), Route("/there", says("Arrived"))]) as browser:
        assert (await browser.open(f"{SITE}/")).onward == f"{SITE}/there?a=1&b=2"
        assert (await browser.consent(f"{SITE}/")).text == "Arrived"


async def test_disconnect_is_not_connect() -> None:
    html = 'Connected. <form method="post" action="/off"><button>Disconnect</button></form>'
    async with browsing([Route("/", says(html))]) as browser:
        assert (await browser.consent(f"{SITE}/")).url == f"{SITE}/"


async def test_it_stops_on_an_error_page_even_if_that_offers_more() -> None:
    async def broken(request: Request) -> Response:
        return HTMLResponse('<form method="post"><button>Connect</button></form>', 404)

    async with browsing([Route("/", broken)]) as browser:
        assert (await browser.consent(f"{SITE}/")).status == 404


async def test_it_says_where_it_is_lost_without_the_query() -> None:
    html = 'Round and round <form method="post" action="/?code=secret"><button>Continue</button></form>'
    async with browsing([Route("/", says(html), methods=["GET", "POST"])]) as browser:
        with pytest.raises(LostError, match="Round and round") as lost:
            await browser.consent(f"{SITE}/")
        assert "secret" not in str(lost.value)
        with pytest.raises(LostError, match="no button 'Launch'"):
            await browser.press(await browser.open(f"{SITE}/"), "Launch")


async def test_endless_redirects_are_an_error() -> None:
    async with browsing([Route("/", lambda request: RedirectResponse("/"))]) as browser:
        with pytest.raises(LostError, match="do not end"):
            await browser.open(f"{SITE}/")


async def test_a_redirect_to_the_stop_is_reported_and_not_followed() -> None:
    async with browsing([Route("/", lambda request: RedirectResponse("myapp://done?code=1"))]) as browser:
        page = await browser.open(f"{SITE}/", stop_at="myapp://done")

    assert (page.url, page.status) == ("myapp://done?code=1", 307)
