"""Who may see and call what, as an administrator writes it down: `[[access.rules]]`, read from the top.

    the first rule that fits the person and the tool decides, and no other
    where none fits, the tool does not exist for them
    without any rule, everybody may call everything

A rule fits when each of its lines fits; a line fits when one of its words does; a line that is not there fits
everybody, or everything. So a rule that stands below one that fits all it fits can never decide: such rules, and those
that contradict themselves, are refused when they are read.

Data and pure questions about it. Above: `gateway.access.policy`, the settings, the command line.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Protocol

from gateway.errors import SettingsError
from gateway.toolkit.tool import Annotations
from gateway.types import Principal


class Judged(Protocol):
    """What a rule looks at of a tool."""

    @property
    def name(self) -> str: ...
    @property
    def toolkit(self) -> str: ...
    @property
    def annotations(self) -> Annotations: ...


CALL, SEE, NOTHING = "call", "see", "nothing"
READ_ONLY, DESTRUCTIVE = "read_only", "destructive"

_MAY = (CALL, SEE, NOTHING)
_ANNOTATIONS = (READ_ONLY, DESTRUCTIVE)
_LINES = ("groups", "people", "apps", "tenants", "toolkits", "tools", "annotations")
_WITH_STAR = ("toolkits", "tools")
_NO_PERSON = "app"
"""The issuer of an app that acts in nobody's name."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. None: the line is not there. `people` are written `ISSUER SUBJECT`, for no issuer knows another's.

    `apps` are names of ATP apps: it fits an app and everybody it vouches for. `toolkits` and `tools` are names, or how
    names begin and a `*`. `annotations` are what a tool says about itself. `may` is call, see or nothing.
    `approve`: the person is asked before each call.
    """

    groups: tuple[str, ...] | None = None
    people: tuple[str, ...] | None = None
    apps: tuple[str, ...] | None = None
    tenants: tuple[str, ...] | None = None
    toolkits: tuple[str, ...] | None = None
    tools: tuple[str, ...] | None = None
    annotations: tuple[str, ...] | None = None
    may: str = CALL
    approve: bool = False

    def fits_person(self, person: Principal) -> bool:
        return (
            (self.groups is None or not person.groups.isdisjoint(self.groups))
            and (self.people is None or f"{person.issuer} {person.subject}" in self.people)
            and (self.apps is None or _app_of(person) in self.apps)
            and (self.tenants is None or person.tenant in self.tenants)
        )

    def fits_tool(self, tool: Judged) -> bool:
        return (
            (self.toolkits is None or any(_fits(word, tool.toolkit) for word in self.toolkits))
            and (self.tools is None or any(_fits(word, tool.name) for word in self.tools))
            and (self.annotations is None or not annotated(tool).isdisjoint(self.annotations))
        )

    def fits_all_of(self, other: Rule) -> bool:
        """Whether whatever fits the other rule fits this one."""
        return all(_covers(getattr(self, line), getattr(other, line)) for line in _LINES)


def annotated(tool: Judged) -> frozenset[str]:
    """What the tool says about itself, in the words of a rule. One that says nothing is neither; one that says both is
    destructive."""
    if tool.annotations.destructive is True:
        return frozenset({DESTRUCTIVE})
    return frozenset({READ_ONLY}) if tool.annotations.read_only is True else frozenset()


def read_rules(rules: Sequence[Rule], issuer: str | None) -> tuple[Rule, ...]:
    """The rules, found sound. A person written without an issuer is one of `issuer`'s.

    SettingsError for the first that cannot be meant, with the sentence that mends it.
    """
    for number, rule in enumerate(rules, 1):
        _check_words(number, rule)
        _check_sense(number, rule)
    read = tuple(replace(rule, people=_in_full(n, rule.people, issuer)) for n, rule in enumerate(rules, 1))
    for number, rule in enumerate(read, 1):
        for earlier, other in enumerate(read[: number - 1], 1):
            if other.fits_all_of(rule):
                raise _wrong(
                    number,
                    f"can never decide anything: rule {earlier} above it fits all that it fits, and the first that fits"
                    " decides. Put it above that one, or leave it out",
                )
    if read and all(rule.may == NOTHING for rule in read):
        raise SettingsError(
            "[[access.rules]] let nobody see anything: as soon as there is a rule, what none allows is not there. Add "
            f'one with may = "{CALL}" at the end; without any other line it is for everybody and everything.'
        )
    return read


def deciding(rules: Iterable[Rule], tool: Judged) -> Rule | None:
    """Of the rules that fit a person, in their order, the one that decides about the tool."""
    return next((rule for rule in rules if rule.fits_tool(tool)), None)


def _check_words(number: int, rule: Rule) -> None:
    for line in _LINES:
        words: Collection[str] | None = getattr(rule, line)
        if words is not None and not words:
            raise _wrong(number, f"has {line} = [], which fits nothing. Name some, or leave the line out for all")
        for word in words or ():
            if not word:
                raise _wrong(number, f"has an empty name in {line}. Write it out, or leave the line out for all")
            stars = word.count("*")
            if stars and not (line in _WITH_STAR and stars == 1 and word.endswith("*")):
                where = "only at the end of a name" if line in _WITH_STAR else "only in toolkits and tools"
                raise _wrong(number, f"has {word!r} in {line}, and a * may stand {where}. Write it out")
    _check_known(number, "may", (rule.may,), _MAY)
    _check_known(number, "annotations", rule.annotations or (), _ANNOTATIONS)


def _check_known(number: int, line: str, words: Iterable[str], known: Sequence[str]) -> None:
    for word in words:
        if word not in known:
            near = get_close_matches(word, known, 1)
            hint = f". Did you mean {near[0]}?" if near else ""
            raise _wrong(number, f"has {word!r} in {line}, where there are {', '.join(known)}{hint}")


def _check_sense(number: int, rule: Rule) -> None:
    if rule.approve and rule.may != CALL:
        raise _wrong(
            number, f'asks people to approve calls, and lets them make none: may = "{rule.may}". Leave one of them out'
        )
    for line in ("groups", "people"):
        if rule.apps is not None and getattr(rule, line) is not None:
            raise _wrong(
                number, f"has both apps and {line}, and no app's user fits {line}. Make two rules, one for each"
            )


def _in_full(number: int, people: tuple[str, ...] | None, issuer: str | None) -> tuple[str, ...] | None:
    if people is None:
        return None
    full = []
    for person in people:
        if " " not in person and issuer is None:
            raise _wrong(
                number,
                f"has {person!r} in people, and there is no [access] issuer that it could be a subject of. Write who "
                f'vouches for them before it: "https://login.example.com {person}"',
            )
        full.append(person if " " in person else f"{issuer} {person}")
    return tuple(full)


def _wrong(number: int, what: str) -> SettingsError:
    return SettingsError(f"[[access.rules]]: rule {number} {what}{'' if what.endswith('?') else '.'}")


def _app_of(person: Principal) -> str | None:
    return person.subject if person.issuer == _NO_PERSON else person.app


def _fits(word: str, name: str) -> bool:
    return name.startswith(word[:-1]) if word.endswith("*") else word == name


def _covers(wide: Collection[str] | None, narrow: Collection[str] | None) -> bool:
    """Whether a line with the words `wide` fits all that one with `narrow` fits."""
    if wide is None:
        return True
    return narrow is not None and all(any(_fits_all(word, name) for word in wide) for name in narrow)


def _fits_all(word: str, name: str) -> bool:
    """As `_fits`, where the name may be the beginning of names itself."""
    return name.removesuffix("*").startswith(word[:-1]) if word.endswith("*") else word == name


def in_words(rule: Rule) -> str:
    """The rule as one line, for people."""
    said: Mapping[str, object] = {field.name: getattr(rule, field.name) for field in fields(rule)}
    lines = [f"{name} {', '.join(words)}" for name, words in said.items() if isinstance(words, tuple)]
    after = ", once the person has approved it" if rule.approve else ""
    return f"{'; '.join(lines) or 'everybody, everything'}: may {rule.may}{after}"
