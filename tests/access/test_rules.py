"""Rules: which one decides, for whom, about what; and which are refused, with the sentence that mends them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.policy import TeamPolicy
from gateway.access.rules import Rule, deciding, in_words, read_rules
from gateway.errors import SettingsError
from gateway.settings import load_settings
from tests.access.tools import ISSUER, person, tool

ADA, BEA = person("ada", "sales"), person("bea", "support", "sales")
FIND, WIPE, PAY = tool("find", read_only=True), tool("wipe", destructive=True), tool("pay_out", "payroll")
ALL = Rule()


def policy(*rules: Rule) -> TeamPolicy:
    return TeamPolicy(read_rules(rules, ISSUER))


def may(team: TeamPolicy, who, what) -> str:
    """As a rule says it."""
    if not team.may_see(who, what):
        assert team.may_call(who, what), "what is not seen is not called"
        return "nothing"
    return "see" if team.may_call(who, what) else "call"


@pytest.mark.parametrize(
    ("line", "fits", "does_not"),
    [
        ({"groups": ("sales", "board")}, ADA, person("ada", "Sales")),
        ({"people": ("ada",)}, ADA, person("ada", "sales", issuer="https://other.example")),
        ({"people": ("https://other.example ada",)}, person("ada", issuer="https://other.example"), ADA),
        ({"apps": ("notes",)}, person("7", issuer="app:notes"), person("7", issuer="app:notes2")),
        ({"apps": ("notes",)}, person("notes", issuer="app"), person("notes")),
        ({"people": ("app:notes 7",)}, person("7", issuer="app:notes"), person("8", issuer="app:notes")),
        ({"tenants": ("acme",)}, person(tenant="acme"), person(tenant="Acme")),
        ({"groups": ("sales",), "tenants": ("acme",)}, person("x", "sales", tenant="acme"), ADA),
    ],
)
def test_a_line_fits_the_people_that_it_names(line, fits, does_not):
    team = policy(Rule(**line))

    assert may(team, fits, FIND) == "call"
    assert may(team, does_not, FIND) == "nothing"


@pytest.mark.parametrize(
    ("line", "fits", "does_not"),
    [
        ({"toolkits": ("crm",)}, FIND, tool("find", "crm2")),
        ({"toolkits": ("pay*",)}, PAY, FIND),
        ({"tools": ("find",)}, FIND, tool("find_all")),
        ({"tools": ("find*",)}, tool("find_all"), tool("refind")),
        ({"tools": ("*",)}, FIND, None),
        ({"annotations": ("read_only",)}, FIND, WIPE),
        ({"annotations": ("destructive",)}, WIPE, FIND),
        ({"annotations": ("destructive", "read_only")}, WIPE, PAY),
        ({"toolkits": ("crm",), "annotations": ("read_only",)}, FIND, tool("find", "payroll", read_only=True)),
    ],
)
def test_a_line_fits_the_tools_that_it_names(line, fits, does_not):
    team = policy(Rule(**line))

    assert may(team, ADA, fits) == "call"
    assert does_not is None or may(team, ADA, does_not) == "nothing"


@pytest.mark.parametrize("read_only", [True, False, None])
@pytest.mark.parametrize("destructive", [True, False, None])
def test_a_tool_is_what_it_says_and_destructive_when_it_says_both(read_only, destructive):
    """MCP's own defaults are for hosts; a rule goes by what a tool says, and what says nothing fits neither word."""
    one = tool("x", read_only=read_only, destructive=destructive)
    team = policy(Rule(annotations=("destructive",), may="see"), Rule(annotations=("read_only",)))

    assert may(team, ADA, one) == ("see" if destructive else "call" if read_only else "nothing")


def test_the_first_rule_that_fits_decides_and_no_other():
    team = policy(
        Rule(groups=("support",), tools=("wipe",), may="nothing"),
        Rule(tools=("wipe",), may="see"),
        Rule(groups=("sales",), toolkits=("crm",)),
    )

    assert [may(team, ADA, each) for each in (FIND, WIPE, PAY)] == ["call", "see", "nothing"]
    assert [may(team, BEA, each) for each in (FIND, WIPE, PAY)] == ["call", "nothing", "nothing"]
    assert [may(team, person("eve"), each) for each in (FIND, WIPE, PAY)] == ["nothing", "see", "nothing"]


def test_no_rule_shows_anybody_another_tenants_tools():
    theirs = tool("find", tenant="acme")

    assert not policy(ALL).may_see(ADA, theirs)
    assert policy(ALL).may_see(person(tenant="acme"), theirs)


def test_a_change_of_groups_or_of_a_tool_is_noticed_at_once():
    team = policy(Rule(groups=("sales",), annotations=("read_only",)))
    assert may(team, ADA, FIND) == "call"

    assert may(team, replace(ADA, groups=frozenset()), FIND) == "nothing"
    assert may(team, ADA, replace(FIND, annotations=WIPE.annotations)) == "nothing"
    assert may(team, ADA, FIND) == "call"


def test_what_is_remembered_is_bounded():
    team = policy(Rule(groups=("sales",)), Rule(tools=("find*",)))
    for number in range(12_000):
        team.may_see(person(str(number)), FIND)

    assert len(team._people) == 10_000
    assert len(team._standings) == len(team._decisions) == 1


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ([Rule(groups=())], r"rule 1 has groups = \[\], which fits nothing\. Name some"),
        ([Rule(tools=("find", ""))], "rule 1 has an empty name in tools. Write it out"),
        ([ALL, Rule(tools=("a*b",))], r"rule 2 has 'a\*b' in tools, and a \* may stand only at the end of a name"),
        ([Rule(groups=("sal*",))], r"a \* may stand only in toolkits and tools"),
        ([Rule(may="see", approve=True)], 'asks people to approve calls, and lets them make none: may = "see"'),
        ([Rule(may="run")], r"rule 1 has 'run' in may, where there are call, see, nothing\."),
        ([Rule(annotations=("readonly",))], r"'readonly' in annotations.*Did you mean read_only\?$"),
        ([Rule(apps=("notes",), groups=("sales",))], "both apps and groups, and no app's user fits groups"),
        ([Rule(apps=("notes",), people=("ada",))], "both apps and people"),
        ([ALL, Rule(tools=("find",))], r"rule 2 can never decide anything: rule 1 above it fits all"),
        ([Rule(tools=("find*",)), ALL, Rule(tools=("find_all",))], "rule 3 can never decide.*rule 1"),
        ([Rule(groups=("a", "b")), Rule(groups=("b",), tenants=("t",))], "rule 2 can never decide.*rule 1"),
        ([Rule(tools=("x",)), Rule(tools=("x",), may="see")], "rule 2 can never decide.*rule 1"),
        ([Rule(may="nothing")], "let nobody see anything"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused_with_the_sentence_that_mends_them(rules, says):
    with pytest.raises(SettingsError, match=says):
        read_rules(rules, ISSUER)


def test_a_person_without_an_issuer_is_refused_where_there_is_none_to_be_meant():
    with pytest.raises(SettingsError, match=r'Write who vouches for them before it: "https://login.example.com ada"'):
        read_rules([Rule(people=("ada",))], None)


NAMES = st.sampled_from(["a", "ab", "abc", "b"])
WORDS = st.one_of(st.none(), st.lists(NAMES, min_size=1, max_size=2, unique=True).map(tuple))
STARRED = st.one_of(
    st.none(), st.lists(st.sampled_from(["a", "a*", "ab*", "abc", "*"]), min_size=1, max_size=2).map(tuple)
)
SAYS = st.one_of(st.none(), st.lists(st.sampled_from(["read_only", "destructive"]), min_size=1).map(tuple))
RULES = st.lists(
    st.builds(
        Rule,
        groups=WORDS,
        tenants=WORDS,
        toolkits=STARRED,
        tools=STARRED,
        annotations=SAYS,
        may=st.sampled_from(["call", "see", "nothing"]),
    ),
    max_size=4,
)
PEOPLE = st.builds(lambda groups, tenant: person("p", *groups, tenant=tenant), st.lists(NAMES), NAMES)
HINTS = st.sampled_from([True, False, None])
TOOLS = st.builds(lambda n, k, r, d: tool(n, k, read_only=r, destructive=d), NAMES, NAMES, HINTS, HINTS)


@given(RULES, PEOPLE, TOOLS)
def test_what_is_not_seen_is_not_called_and_a_rule_that_is_covered_never_decides(rules, who, what):
    """Whatever the rules; and what is remembered is what would be decided anew."""
    fitting = [rule for rule in rules if rule.fits_person(who)]
    rule = deciding(fitting, what)
    team = TeamPolicy(rules)

    assert [may(team, who, what), may(team, who, what)] == [rule.may if rule else "nothing"] * 2
    for number, later in enumerate(rules):
        if any(earlier.fits_all_of(later) for earlier in rules[:number]):
            assert rule is not later


def test_rules_are_read_from_the_file(tmp_path: Path):
    path = tmp_path / "gateway.toml"
    path.write_text('[[access.rules]]\ngroups = ["sales"]\ntools = ["find*"]\n\n[[access.rules]]\nmay = "see"\n')

    rules = load_settings(path, {}).access.rules

    assert rules == (Rule(groups=("sales",), tools=("find*",)), Rule(may="see"))
    assert [in_words(rule) for rule in rules] == [
        "groups sales; tools find*: may call",
        "everybody, everything: may see",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[access.rules]]\ngroup = ["sales"]', r"\[access\] rules 1 has no setting 'group'; it has groups"),
        ("[access]\nrules = 1", r"\[access\] rules must be tables"),
        (
            "[access.calls_per_minute]\npersons = 1",
            r"\[access.calls_per_minute\] has no setting 'persons'; it has",
        ),
        ("[access]\ncalls_per_minute = 60", r"calls_per_minute must be a table: \[access.calls_per_minute\]"),
        ("[access.rules]\nmay = 'see'", r"\[access\] rules must be tables, each begun by \[\[access.rules\]\]"),
    ],
)
def test_what_is_no_rule_is_named_where_it_stands(tmp_path: Path, text: str, says: str):
    path = tmp_path / "gateway.toml"
    path.write_text(text)

    with pytest.raises(SettingsError, match=says):
        load_settings(path, {})
