"""The file of customer rules: what it may say, and what is said when it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from winback.errors import CustomerRuleError
from winback.select.customer_rules import read
from winback.settings import PROJECT

GOOD = """
do_not_want:
  returns:
    because: sends it back
    when: {n_orders: {at_least: 3}, returned_pct: {at_least: 60, below: 1000}}
must_win:
  named:
    because: strategic
    customers: ["4711"]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "customer_rules.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_file(tmp_path: Path) -> None:
    rules = read(written(tmp_path, GOOD))
    assert rules.do_not_want["returns"].when["returned_pct"].below == 1000
    assert rules.must_win["named"].customers == ["4711"]


def test_an_empty_file_has_no_rules(tmp_path: Path) -> None:
    rules = read(written(tmp_path, "# nothing\n"))
    assert not rules.do_not_want
    assert not rules.must_win


def test_the_file_that_comes_with_winback_is_good() -> None:
    assert set(read(PROJECT / "config" / "customer_rules.yaml").do_not_want) == {
        "sends_almost_everything_back", "does_not_pay", "costs_more_than_it_brings",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "n_orders",
            "n_ordres",
            "`do_not_want.returns.when.n_ordres` is no fact; the facts are n_",
        ),
        ("{at_least: 3}", "{}", "write at_least, below, or both"),
        ("{at_least: 3}", "{at_lest: 3}", "`do_not_want.returns.when.n_orders.at_lest` is no key"),
        ("at_least: 3", "at_least: many", "do_not_want.returns.when.n_orders.at_least"),
        ('customers: ["4711"]', "customers: []", "write conditions below `when`, or ids below"),
        ("must_win", "must_have", "`must_have` is no key here: leave it out"),
        ("    because: strategic\n", "", "`must_win.named.because`: Field required"),
        ("must_win:", "do_not_want:", "`do_not_want` stands here twice"),
        ("do_not_want:", "do_not_want: [", "no valid YAML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(CustomerRuleError) as raised:
        read(written(tmp_path, GOOD.replace(old, new, 1)))
    assert said in str(raised.value)
    assert str(raised.value).startswith("customer_rules.yaml: ")


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(CustomerRuleError, match="can not be read: No such file"):
        read(tmp_path / "customer_rules.yaml")
