"""Image pulls: how long they take, what they share, what breaks them off."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stowplan.placement.scenario.containers import ImageTable, PullTable
from stowplan.sim.pulls import PullEnd, Pulls

IMAGES = {
    "web": {"base": 100, "web": 50},
    "api": {"base": 100, "api": 30},
    "own": {"own": 200},
}


def pulls(**table) -> Pulls:
    """10 ms per MiB after 100 ms, unless `table` says otherwise."""
    images = {name: ImageTable(layers=layers) for name, layers in IMAGES.items()}
    return Pulls(images, PullTable.model_validate({"latency": "100ms", "ms_per_mib": 10.0} | table))


def ends(world: Pulls, until_ms: int = 10**9) -> list[tuple[int, int, object, bool]]:
    """(ms, instance, who, whether it went well) of all that ends."""
    found = []
    while (at := world.next_ms) is not None and at <= until_ms:
        found += [(at, end.instance, end.who, end.error is None) for end in world.due(at)]
    return found


def test_the_default_is_what_was_measured():
    world = Pulls({"own": ImageTable(layers={"own": 200})}, PullTable())
    world.begin(0, "a", "own", 1000)
    assert ends(world) == [(1000 + 210 + round(12.2 * 200), 0, "a", True)]


def test_a_pull_fetches_what_is_not_cached():
    world = pulls()
    world.begin(0, "a", "web", 0)
    assert not world.has(0, "web")
    assert ends(world) == [(100 + 1500, 0, "a", True)]
    assert world.has(0, "web")
    assert not world.has(0, "api")
    assert not world.has(1, "web")
    world.begin(0, "b", "web", 5000)
    world.begin(0, "c", "api", 6000)
    assert ends(world) == [(5100, 0, "b", True), (6100 + 300, 0, "c", True)]


def test_images_may_be_there_from_the_start():
    world = pulls()
    world.cache(0, ["web"])
    assert world.has(0, "web")
    world.begin(0, "a", "api", 0)
    assert ends(world) == [(100 + 300, 0, "a", True)]


def test_pulls_of_one_image_on_an_instance_share_the_download():
    world = pulls()
    world.begin(0, "a", "own", 0)
    world.begin(0, "b", "own", 500)
    assert ends(world) == [(2100, 0, "a", True), (2100, 0, "b", True)]


def test_pulls_on_an_instance_share_its_bandwidth():
    world = pulls()
    world.begin(0, "a", "own", 0)
    world.begin(0, "b", "api", 0)
    # base 100, api 30 and own 200 MiB share alike: 30 each in 900 ms, then two of them.
    assert ends(world) == [(100 + 900 + 1400, 0, "b", True), (100 + 3300, 0, "a", True)]


def test_instances_share_nothing_but_the_registry():
    alone, together = pulls(), pulls(registry_mib_s=150)
    for world in (alone, together):
        world.begin(0, "a", "own", 0)
        world.begin(1, "b", "own", 0)
    assert [at for at, *_ in ends(alone)] == [2100, 2100]
    # 150 MiB/s for two of them, where each could take 100: 75 each.
    assert [at for at, *_ in ends(together)] == [2767, 2767]


def test_one_that_finishes_leaves_the_registry_to_the_others():
    world = pulls(registry_mib_s=100)
    world.begin(0, "a", "own", 0)
    world.begin(1, "b", "web", 0)
    # 50 MiB/s each until b has its 150, then 100 for the last 50 of a.
    assert [at for at, *_ in ends(world)] == [100 + 3000, 100 + 3500]


def test_a_slow_disk_makes_pulls_slow_while_it_is_slow():
    world = pulls()
    world.set_factor(0, 3, 0)
    world.begin(0, "a", "own", 0)
    assert ends(world, 2299) == []
    world.set_factor(0, 1, 2300)
    # 300 ms of latency, then 2 s for a third of 200 MiB, then the rest.
    assert ends(world) == [(2300 + 1334, 0, "a", True)]


def test_a_registry_that_fails_breaks_pulls_off_and_answers_none():
    world = pulls()
    world.begin(0, "a", "own", 0)
    assert ends(world, 500) == []
    world.fail("down", 500)
    assert world.due(500) == [PullEnd(0, "a", "down")]
    world.begin(0, "b", "own", 600)
    assert ends(world) == [(700, 0, "b", False)]
    world.fail(None, 1000)
    world.begin(0, "c", "own", 1000)
    assert ends(world) == [(1000 + 2100, 0, "c", True)], "what was half there is fetched anew"


def test_what_an_instance_that_is_gone_pulled_is_nobodys():
    world = pulls(registry_mib_s=100)
    world.begin(0, "a", "own", 0)
    world.begin(1, "b", "own", 0)
    assert ends(world, 2100) == []
    world.forget(0, 2100)
    assert ends(world) == [(2100 + 1000, 1, "b", True)]


@given(
    st.lists(
        st.tuples(st.integers(0, 3000), st.integers(0, 1), st.sampled_from(sorted(IMAGES))),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from((10.0, 12.2, 0.003)),
)
def test_every_pull_ends_not_before_it_can_nor_after_all_could(asked, ms_per_mib):
    world, found, begun = pulls(ms_per_mib=ms_per_mib), {}, {}
    for number, (at, instance, image) in enumerate(sorted(asked)):
        for when, _, who, well in ends(world, at):
            found[who] = when
            assert well
        world.begin(instance, number, image, at)
        begun[number] = (at, image)
    found |= {who: when for when, _, who, _ in ends(world)}
    assert found.keys() == begun.keys()
    everything = ms_per_mib * sum({n: m for i in IMAGES.values() for n, m in i.items()}.values())
    for who, (at, _) in begun.items():
        assert at + 100 <= found[who] <= at + 100 + everything + 1
    assert world.next_ms is None
