"""What broke a toolkit, in a sentence for its author: file, line, and what to do. No traceback, no secret."""

from __future__ import annotations

import traceback
from pathlib import Path

from gateway.errors import LoadError, RegistrationError, ToolkitError
from gateway.redaction import Redactor
from gateway.toolkit.place import place
from gateway.toolkit.sources import Source

_LONGEST = 400  # characters of somebody else's message

_DISTRIBUTIONS = {
    "PIL": "pillow",
    "bs4": "beautifulsoup4",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "google.oauth2": "google-auth",
    "googleapiclient": "google-api-python-client",
    "hubspot": "hubspot-api-client",
    "jwt": "pyjwt",
    "simple_salesforce": "simple-salesforce",
    "yaml": "pyyaml",
}
"""Where a package is installed under another name than it is imported by: the wrong name may be somebody else's."""


def breakage(error: BaseException, source: Source) -> ToolkitError:
    """The error for the report. A wrong declaration stays a RegistrationError."""
    kind = RegistrationError if isinstance(error, RegistrationError) else LoadError
    said = " ".join(Redactor.of_live_secrets().redact(_said(error)).split())
    said = said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"
    return kind(f"{_where(error, source)}: {said}{_advice(error, source)}")


def _said(error: BaseException) -> str:
    if isinstance(error, RegistrationError):
        return str(error)
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r}) while it was loaded"
    if isinstance(error, EOFError):
        return "it asked for input while it was loaded"
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text}".removesuffix(": ")


def _advice(error: BaseException, source: Source) -> str:
    if isinstance(error, SystemExit):
        return ". Let it raise an error that says what is missing."
    if isinstance(error, EOFError):
        return ". A toolkit has no keyboard: read settings from the environment."
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f". {_install(error.name, source)}"
    return ""


def _install(module: str, source: Source) -> str:
    if source.module and (source.module == module or source.module.startswith(f"{module}.")):
        return "Check the name; it is looked for in the working folder and among the installed packages."
    top = module.partition(".")[0]
    name = _DISTRIBUTIONS.get(module) or _DISTRIBUTIONS.get(top) or top
    return f"Install it beside the gateway: pip install {name}"


def _where(error: BaseException, source: Source) -> str:
    """The last line of the toolkit's own that was running: what it called lies deeper, and is not its author's."""
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_file():
        return place(error.filename, error.lineno)
    own = [
        (file, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if _is_own(file := frame.f_code.co_filename, source)
    ]
    return place(*own[-1]) if own else source.place


def _is_own(file: str, source: Source) -> bool:
    if file == str(source.file):
        return True
    path = Path(file)
    here = Path(__file__).parent.parent
    inside = path.is_absolute() and path.is_relative_to(source.folder) and not path.is_relative_to(here)
    return inside and "site-packages" not in path.parts
