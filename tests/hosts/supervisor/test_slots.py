"""Slots: where a new instance lives, and when a place is free again."""

from collections.abc import Iterable

import pytest

from gymserve.hosts.supervisor import slots as module
from gymserve.hosts.supervisor.settings import SlotSettings
from gymserve.hosts.supervisor.slots import Slots
from gymserve.hosts.supervisor.warm import WarmHosts
from gymserve.protocol.errors import LimitReached
from gymserve.settings import Settings


def token(slot: str, number: int = 0) -> str:
    return f"{slot}-{number:022}"


def slots(tokens: Iterable[str] = (), **settings: int) -> Slots:
    return Slots(Settings(**settings).pick(SlotSettings), WarmHosts(1), tokens)


def test_a_light_instance_goes_to_the_shared_host_with_the_fewest() -> None:
    some = slots([token("s0"), token("s0", 1), token("s2")], SHARED_HOSTS=3)
    assert some.choose("", False) == "s1"
    some.add(token("s1"))
    some.add(token("s1", 1))
    assert some.choose("", False) == "s2"


def test_each_other_instance_gets_a_host_of_its_own_that_was_none_before() -> None:
    some = slots([token("d4"), token("g7")])
    assert [some.choose("kind", False), some.choose("kind", False), some.choose("g", False)] == ["d8", "d9", "g10"]


def test_an_environment_that_is_made_quickly_goes_to_a_shared_host_next_time() -> None:
    some = slots(SHARED_HOSTS=1)
    some.note_making("slow", 0.25)
    some.note_making("quick", 0.24)
    assert some.choose("slow", False).startswith("d")
    assert some.choose("quick", False) == "s0" and some.choose("quick", True).startswith("d")


def test_only_the_latest_quick_kinds_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_QUICK", 300)
    some = slots(SHARED_HOSTS=1)
    for number in range(302):
        some.note_making(str(number), 0.0)
    assert [some.choose(str(number), False)[0] for number in (0, 1, 2, 301)] == ["d", "d", "s", "s"]


def test_a_warm_host_is_taken_by_instances_that_need_their_own() -> None:
    some = slots()
    some.warm_hosts.add("kind", "d100")
    assert some.choose("kind", False) != "d100"
    assert some.choose("kind", True) == "d100" and some.choose("kind", True) != "d100"


@pytest.mark.parametrize(
    ("setting", "slot", "kind"),
    [("MAX_INSTANCES", "s0", ""), ("MAX_DEDICATED_HOSTS", "d1", "kind"), ("MAX_GRADED_HOSTS", "g1", "g")],
)
def test_each_limit_is_named_when_it_is_reached_and_ends_with_a_release(setting: str, slot: str, kind: str) -> None:
    some = slots([token(slot)], **{setting: 1})
    with pytest.raises(LimitReached, match=f"{setting} = 1"):
        some.choose(kind, False)
    some.release(token(slot))
    assert some.choose(kind, False)


def test_only_an_own_host_is_named_for_ending_when_its_instance_is_released() -> None:
    some = slots([token("d1"), token("s0"), token("s0", 1)])
    assert some.release(token("s0")) is None and some.release(token("d1")) == "d1"
    assert list(some) == ["s0"] and list(some.tokens) == [token("s0", 1)] and some.instances == 1


def test_a_place_is_freed_when_its_instance_is_missing_twice() -> None:
    some = slots([token("d1"), token("d2")])
    some.compare([token("d1")])
    assert some.instances == 2  # it may still be in creation
    some.compare([token("d1")])
    assert list(some) == ["d1"] and some.dedicated == 1


def test_a_place_is_kept_when_its_instance_appears_in_time() -> None:
    some = slots([token("d1")])
    some.compare([])
    some.compare([token("d1")])
    some.compare([])
    assert some.instances == 1
