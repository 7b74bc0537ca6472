"""The provider's words in ours: every type, nothing left out, nothing personal."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any, get_args
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winback.record.vocabulary import VOCABULARY, Event, Kind, read_batch, read_event

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADDRESS = "anna@example.com"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINBACK_KEY", "test key")


def entry(word: str = "delivered", **more: Any) -> dict[str, Any]:
    return {
        "event": word,
        "email": ADDRESS,
        "timestamp": 1772000000,
        "sg_event_id": "abc-_123",
        "message_id": str(UUID(int=7)),
        **more,
    }


def read(*entries: Any) -> list[Event]:
    return read_batch(json.dumps(list(entries)).encode(), NOW)[0]


@pytest.mark.parametrize(
    ("word", "more", "kind", "suppresses"),
    [
        ("processed", {}, "processed", None),
        ("deferred", {}, "deferred", None),
        ("delivered", {}, "delivered", None),
        ("bounce", {}, "bounced", ("address", "bounce")),
        ("bounce", {"type": "bounce"}, "bounced", ("address", "bounce")),
        ("bounce", {"type": "blocked"}, "blocked", None),
        ("blocked", {}, "blocked", None),
        ("dropped", {"reason": "Bounced Address"}, "dropped", ("address", "dropped")),
        ("dropped", {"reason": "Invalid"}, "dropped", ("address", "dropped")),
        ("dropped", {"reason": "Unsubscribed Address"}, "dropped", ("person", "unsubscribe")),
        ("dropped", {"reason": "Spam Reporting Address"}, "dropped", ("person", "spam_report")),
        ("dropped", {"reason": "Recipient List over Package Quota"}, "dropped", None),
        ("dropped", {}, "dropped", None),
        ("spamreport", {}, "spam_report", ("person", "spam_report")),
        ("unsubscribe", {}, "unsubscribed", ("person", "unsubscribe")),
        ("group_unsubscribe", {}, "unsubscribed", ("person", "unsubscribe")),
        ("group_resubscribe", {}, "other", None),
        ("open", {}, "opened", None),
        ("click", {}, "clicked", None),
        ("account_status_change", {}, "other", None),
    ],
)
def test_every_type_has_its_word(
    word: str, more: dict[str, str], kind: Kind, suppresses: tuple[str, str] | None
) -> None:
    [event] = read(entry(word, **more))
    assert (event.kind, event.suppresses) == (kind, suppresses)
    assert event.message_id == UUID(int=7)
    assert event.occurred_at == datetime.fromtimestamp(1772000000, UTC)
    assert event.event_id == "abc-_123"
    assert (event.objector is not None) == (suppresses is not None and suppresses[0] == "person")


def test_the_vocabulary_is_closed() -> None:
    assert {*VOCABULARY.values(), "other"} == set(get_args(Kind))


@pytest.mark.parametrize("word", [None, 7, "", "Delivered", f"told {ADDRESS}", "x" * 500, ["a"]])
def test_an_unknown_type_is_other_and_kept_without_what_it_says(word: Any) -> None:
    [event] = read(entry(word))
    assert event.kind == "other"
    assert event.detail is None or event.detail == str(word)
    assert "@" not in (event.detail or "")


@pytest.mark.parametrize("message_id", [None, "", 7, "none", ADDRESS, ["x"], "\0", "7" * 500])
def test_without_our_id_it_is_an_event_still(message_id: Any) -> None:
    assert [event.message_id for event in read(entry(message_id=message_id))] == [None]


@pytest.mark.parametrize("event_id", [None, "", 7, ADDRESS, "a\0b", "\ud800", "x" * 500, {"a": 1}])
def test_an_event_without_a_usable_id_gets_one_that_repeats(event_id: Any) -> None:
    first, again = (read(entry(sg_event_id=event_id))[0].event_id for _ in range(2))
    assert first == again
    assert first.startswith("sha256:")
    assert len(first) == 71


def test_events_without_an_id_stay_apart() -> None:
    one, two = entry("delivered"), entry("bounce")
    del one["sg_event_id"], two["sg_event_id"]
    assert len({event.event_id for event in read(one, two)}) == 2


@pytest.mark.parametrize("event_id", [None, "", 0, False, [], {}, "ää", "x" * 500])
def test_events_that_share_an_unusable_id_stay_apart(event_id: Any) -> None:
    one, two = entry("delivered", sg_event_id=event_id), entry("bounce", sg_event_id=event_id)
    assert len({event.event_id for event in read(one, two)}) == 2


@pytest.mark.parametrize(
    "timestamp", [None, "yesterday", 1e300, 10**30, 1772000000000000, "nan", [], float("-inf")]
)
def test_without_a_usable_time_it_happened_when_it_came(timestamp: Any) -> None:
    [event] = read(entry("unsubscribe", timestamp=timestamp))
    assert event.occurred_at == NOW
    assert event.suppresses == ("person", "unsubscribe")


@pytest.mark.parametrize(
    ("status", "detail"),
    [("5.1.1", "5.1.1"), (f"5.1.1 {ADDRESS}", "5.1.1"), (ADDRESS, None), (None, None), (511, None)],
)
def test_of_a_bounce_only_the_status_is_kept(status: Any, detail: str | None) -> None:
    [event] = read(entry("bounce", status=status, reason=f"550 {ADDRESS}"))
    assert event.detail == detail
    assert ADDRESS not in repr(event)


@pytest.mark.parametrize(
    "body", [b"", b"no JSON", b"{}", b"7", b"null", b"\xff", b"[", b"[" * 100_000, b'"[]"']
)
def test_what_is_no_list_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_batch(body, NOW)


def test_what_is_nested_about_as_deeply_as_can_be_read_is_read_or_refused() -> None:
    said = set()
    for depth in range(1, sys.getrecursionlimit()):
        body = b'[{"event": "open", "more": ' + b"[" * depth + b"]" * depth + b"}]"
        try:
            said.add(len(read_batch(body, NOW)[0]))
        except ValueError as error:
            said.add(str(error))
    assert said == {1, "the batch is nested too deeply"}


@pytest.mark.parametrize("odd", [b'"\xff"', b'"\xed\xa0\x80"', b"9" * 5000, b"-" + b"9" * 5000])
@pytest.mark.parametrize("where", [b"useragent", b"timestamp", b"sg_event_id", b"email"])
def test_a_byte_or_a_number_that_is_none_takes_nobody_with_it(odd: bytes, where: bytes) -> None:
    body = b'[{"event": "open", "%b": %b}, %b]' % (where, odd, json.dumps(entry()).encode())
    events, n_others = read_batch(body, NOW)
    assert ([event.kind for event in events], n_others) == (["opened", "delivered"], 0)
    assert events[0].occurred_at == NOW


@pytest.mark.parametrize(
    ("more", "n_unread"),
    [({"message_id": None}, 1), ({}, 0), ({"message_id": None, "event": "open"}, 0)],
)
def test_who_objects_by_an_address_that_is_no_text_is_counted(
    more: dict[str, Any], n_unread: int
) -> None:
    """The batch is kept, since nobody else can tell who it was; with our id it is known."""
    told = entry("group_unsubscribe", email="m\u00fcller@example.com") | more
    body = json.dumps([told], ensure_ascii=False).encode("latin-1")
    events, n = read_batch(body, NOW)
    assert (len(events), n) == (1, n_unread)


def test_entries_that_are_no_events_are_counted_and_take_nobody_with_them() -> None:
    body = json.dumps([7, entry(), None, [entry()], {}]).encode()
    events, n_others = read_batch(body, NOW)
    assert [event.kind for event in events] == ["delivered", "other"]
    assert n_others == 3


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=9), children, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = ["event", "email", "timestamp", "sg_event_id", "message_id", "status", "type", "reason"]


# no deadline: the machine may be busy
@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), json_values | st.sampled_from(list(VOCABULARY))))
def test_whatever_an_entry_holds_it_becomes_a_storable_event(fields: dict[str, Any]) -> None:
    event = read_event(json.loads(json.dumps(fields)), NOW)
    assert event.kind in get_args(Kind)
    for text in (event.event_id, event.detail or ""):
        assert text.isascii()
        assert text.isprintable()
        assert len(text) <= 100
    assert isinstance(event.occurred_at, datetime)
