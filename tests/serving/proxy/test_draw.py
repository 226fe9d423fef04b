import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import UpstreamDown
from serving.proxy import draw as module
from serving.proxy.draw import draw
from serving.proxy.store import Route

N = 100_000


def routes(*ratios, labels="abcdefghij"):
    return [Route(label, ratio, "rest", f"http://{label}/", None) for label, ratio in zip(labels, ratios, strict=False)]


def within_three_sigma(counts, ratios, n):
    for label, ratio in zip("abcdefghij", ratios, strict=False):
        assert abs(counts[label] - n * ratio) <= 3 * (n * ratio * (1 - ratio)) ** 0.5, (label, counts)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("ratios", [(0.7, 0.2, 0.1), (0.5, 0.5), (0.99, 0.01), (0.0, 1.0), (0.25, 0.25, 0.25, 0.25)])
def test_the_draw_follows_the_ratios(ratios, seed, monkeypatch):
    monkeypatch.setattr(module.random, "choices", random.Random(seed).choices)
    among = routes(*ratios)
    within_three_sigma(Counter(draw("test", among).label for _ in range(N)), ratios, N)


@pytest.mark.parametrize("ratios", [(0.7, 0.2, 0.1), (0.5, 0.5), (0.99, 0.01), (0.0, 1.0)])
def test_over_many_keys_the_shares_are_the_ratios(ratios):
    among = routes(*ratios)
    within_three_sigma(Counter(draw("test", among, b"user-%d" % k).label for k in range(N)), ratios, N)


def test_shares_are_relative_when_some_variations_are_left_out():
    among = routes(0.2, 0.1)
    counts = Counter(draw("test", among, b"user-%d" % k).label for k in range(N))
    within_three_sigma(counts, (2 / 3, 1 / 3), N)


def test_a_client_without_variations():
    with pytest.raises(UpstreamDown, match="start-microservice"):
        draw("test", [])


keys = st.binary(min_size=1, max_size=40)
ratio = st.floats(0.001, 1.0)
ratios = st.lists(ratio, min_size=2, max_size=8)


@given(ratios, keys, st.randoms())
def test_a_key_keeps_its_variation_whatever_the_order(shares, key, shuffle):
    among = routes(*shares)
    label = draw("test", among, key).label
    shuffle.shuffle(among)
    assert draw("test", among, key).label == label


@given(ratios, keys, st.data())
def test_a_variation_that_grows_takes_keys_and_none_moves_between_others(shares, key, data):
    which, more = data.draw(st.integers(0, len(shares) - 1)), data.draw(st.floats(1.0, 10.0))
    before = draw("test", routes(*shares), key).label
    shares[which] *= more
    assert draw("test", routes(*shares), key).label in {before, "abcdefghij"[which]}


@given(ratios, keys, st.data())
def test_a_variation_that_goes_gives_its_own_keys_and_no_others(shares, key, data):
    among = routes(*shares)
    before = draw("test", among, key).label
    gone = data.draw(st.integers(0, len(shares) - 1))
    after = draw("test", among[:gone] + among[gone + 1 :], key).label
    assert (after == before) == (before != among[gone].label)


def test_a_changed_ratio_moves_as_few_keys_as_it_must():
    before, after = routes(0.5, 0.5), routes(0.6, 0.4)
    pairs = [(draw("t", before, b"%d" % k).label, draw("t", after, b"%d" % k).label) for k in range(N)]
    moved = sum(old != new for old, new in pairs)
    assert all((old, new) == ("b", "a") for old, new in pairs if old != new)
    assert abs(moved - 0.1 * N) <= 3 * (N * 0.1 * 0.9) ** 0.5


def test_clients_do_not_share_their_keys_fates():
    among = routes(0.5, 0.5)
    same = sum(draw("one", among, b"%d" % k) is draw("two", among, b"%d" % k) for k in range(N))
    assert abs(same - N / 2) <= 3 * (N / 4) ** 0.5
