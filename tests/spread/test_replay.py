"""Reading recorded cascades: clean ones come out as they are, dirty ones are told line by line."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.spread import replay
from referral.spread.forests import Counts, Now, count
from referral.spread.replay import ROOT, BadHeader, Cascades

HEADER = "tree_id,node,parent,seconds"


def read(*lines: str) -> Cascades:
    return replay.read([f"{line}\n" for line in (HEADER, *lines)])


def edges(cascades: Cascades) -> dict[tuple[str, str], str | None]:
    """Whose child each node is, by tree and name."""
    return {
        (tree, name): None if parent == ROOT else cascades.names[parent]
        for tree, name, parent in zip(
            cascades.tree_ids, cascades.names, cascades.parents, strict=True
        )
    }


def told(cascades: Cascades) -> list[str]:
    return [str(finding) for finding in cascades.findings]


def test_a_clean_file_comes_out_as_it_went_in() -> None:
    cascades = read("7,a,,0", "7,b,a,12.5", "8,a,,3", "7,c,b,20", "7,d,a,21")
    assert edges(cascades) == {
        ("7", "a"): None,
        ("7", "b"): "a",
        ("8", "a"): None,
        ("7", "c"): "b",
        ("7", "d"): "a",
    }
    assert told(cascades) == []
    assert (len(cascades), cascades.trees) == (5, 2)
    place = {name: n for n, name in enumerate(cascades.names) if cascades.tree_ids[n] == "7"}
    assert [cascades.hops[place[name]] for name in "abcd"] == [0, 1, 2, 1]
    assert [cascades.seconds[place[name]] for name in "abcd"] == [0, 12.5, 20, 21]
    assert cascades.counts()[place["a"]] == Counts(2, 3, 0, 2)


def test_marks_line_ends_quotes_and_blanks_make_no_difference() -> None:
    lines = ["\ufeffTree_ID , node,parent,seconds,more\r\n", '"7","a","",0,x\r\n', "\r\n", ",,,\n"]
    cascades = replay.read([*lines, ' 7 , b ,"a",1.5e1,y\r\n'])
    assert edges(cascades) == {("7", "a"): None, ("7", "b"): "a"}
    assert told(cascades) == []


def test_columns_may_stand_in_another_order() -> None:
    cascades = replay.read(["seconds,parent,node,tree_id\n", "0,,a,1\n", "1,a,b,1\n"])
    assert edges(cascades) == {("1", "a"): None, ("1", "b"): "a"}


@pytest.mark.parametrize(
    "header", ["", "1,a,,0", "tree_id,node,parent", "tree_id,node,node,parent"]
)
def test_it_rejects_a_file_whose_columns_have_no_names(header: str) -> None:
    with pytest.raises(BadHeader, match="tree_id,node,parent,seconds"):
        replay.read([header] if header else [])


def test_a_file_with_nothing_but_a_header_is_no_cascade() -> None:
    assert len(read()) == 0


@pytest.mark.parametrize(
    ("lines", "expected", "findings"),
    [
        (
            ["1,a,,0", "1,b,a,5", "1,b,a,6"],
            {"a": None, "b": "a"},
            ["line 4: node b of tree 1 is in line 3 already; left out"],
        ),
        (
            ["1,c,b,9", "1,b,a,5", "1,a,,0"],
            {"a": None, "b": "a", "c": "b"},
            [
                "line 2: it stands before its parent b; played after it",
                "line 3: it stands before its parent a; played after it",
            ],
        ),
        (
            ["1,a,,0", "1,b,,1", "1,c,a,5", "1,c,b,4"],
            {"a": None, "b": None, "c": "a"},
            [
                "line 3: tree 1 has a root in line 2 already; taken as another one",
                "line 5: node c of tree 1 is in line 4 with another parent; left out",
            ],
        ),
        (
            # The first line that leads up to a root counts, whatever those before it say.
            ["1,d,c,9", "1,a,a,0", "1,b,a,1", "1,c,b,2", "1,c,x,3", "1,b,c,4", "1,a,,5"],
            {"a": None, "b": "a", "c": "b", "d": "c"},
            [
                "line 2: it stands before its parent c; played after it",
                "line 3: node a of tree 1 is in line 8 with another parent; left out",
                "line 4: it comes 4 s before its parent; taken as its time",
                "line 5: it comes 3 s before its parent; taken as its time",
                "line 6: node c of tree 1 is in line 5 with another parent; left out",
                "line 7: node b of tree 1 is in line 4 with another parent; left out",
            ],
        ),
        (
            ["1,a,b,0", "1,b,a,1", "1,b,,2"],
            {"a": "b", "b": None},
            [
                "line 2: it stands before its parent b; played after it",
                "line 2: it comes 2 s before its parent; taken as its time",
                "line 3: node b of tree 1 is in line 4 with another parent; left out",
            ],
        ),
        (
            ["1,a,,100", "1,b,a,90"],
            {"a": None, "b": "a"},
            ["line 3: it comes 10 s before its parent; taken as its time"],
        ),
        (
            ["1,a,,0", "1,b,x,1", "1,c,b,2"],
            {"a": None},
            [
                "line 3: parent x is not in tree 1; left out",
                "line 4: parent b is left out; left out",
            ],
        ),
        (["1,a,,0", "2,b,a,1"], {"a": None}, ["line 3: parent a is not in tree 2; left out"]),
        (["1,a,a,0"], {}, ["line 2: node a is its own parent; left out"]),
        (
            ["1,a,b,0", "1,b,c,0", "1,c,b,0", "1,r,,0"],
            {"r": None},
            [
                "line 2: parent b is left out; left out",
                "line 3: node b comes from itself, in a circle; left out",
                "line 4: node c comes from itself, in a circle; left out",
            ],
        ),
        (
            ["1,a,,0", "1,b,,4", "1,c,b,5"],
            {"a": None, "b": None, "c": "b"},
            ["line 3: tree 1 has a root in line 2 already; taken as another one"],
        ),
        (
            ["1,a,,soon", "1,b,a,nan", "1,c,a,"],
            {"a": None, "b": "a", "c": "a"},
            [
                "line 2: 'soon' is no number of seconds; taken as its parent's",
                "line 3: 'nan' is no number of seconds; taken as its parent's",
                "line 4: '' is no number of seconds; taken as its parent's",
            ],
        ),
        (
            ["1,a", '1,"a,,0', "1,,a,0", f"1,{'x' * 4001},,0", "1,a,,0"],
            {"a": None},
            [
                "line 2: 2 fields instead of 4; left out",
                "line 3: 2 fields instead of 4; left out",
                "line 4: it names no node; left out",
                "line 5: a name is longer than 4,000 characters; left out",
            ],
        ),
    ],
)
def test_dirt_is_told_with_its_line(
    lines: Sequence[str], expected: dict[str, str | None], findings: Sequence[str]
) -> None:
    cascades = read(*lines)
    assert {name: parent for (_, name), parent in edges(cascades).items()} == expected
    assert told(cascades) == findings


fields = st.sampled_from(["1", "2", "a", "b", "c", "", "-5", "nan", "1e999", '"', "a,b", "é", "\0"])
lines = st.lists(fields, max_size=6).map(",".join) | st.text(max_size=12)


@given(st.lists(lines, max_size=14))
def test_whatever_a_file_says_comes_out_in_order_or_is_told(drawn: list[str]) -> None:
    cascades = read(*drawn)
    for node, parent in enumerate(cascades.parents):
        assert parent == ROOT or parent < node
        assert cascades.hops[node] == (0 if parent == ROOT else cascades.hops[parent] + 1)
        assert parent == ROOT or cascades.seconds[node] >= cascades.seconds[parent]
    assert len(edges(cascades)) == len(cascades)
    left_out = [finding.line for finding in cascades.findings if finding.left_out]
    assert len(left_out) == len(set(left_out)) == cascades.findings.left_out
    blank = sum(not any(replay._fields(line)) for line in drawn)
    assert len(cascades) + len(left_out) + blank == len(drawn)
    numbered = {node: Now(None if p == ROOT else p) for node, p in enumerate(cascades.parents)}
    assert dict(enumerate(cascades.counts())) == count(numbered)


def test_chains_and_circles_may_be_long() -> None:
    length = 30_000
    chain = [f"1,{n},{n - 1 if n else ''},{n}" for n in range(length)]
    assert read(*chain).hops[-1] == length - 1
    assert read(*reversed(chain)).hops[-1] == length - 1
    ring = [f"1,{n},{(n or length) - 1},{n}" for n in range(length)]
    assert len(read(*ring).findings) == length
