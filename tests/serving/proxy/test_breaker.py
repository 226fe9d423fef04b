from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import ProxyError, RequestError, UpstreamDown, UpstreamFault, UpstreamSlow
from serving.proxy.breaker import Breaker, Breakers
from serving.proxy.choice import choose
from serving.proxy.store import Route

FAILURES = 5


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def changes():
    return []


@pytest.fixture
def breaker(clock, changes):
    return Breaker("http://x/", FAILURES, 1.0, lambda is_open, why: changes.append(is_open), clock)


def end(breaker, error=None):
    with suppress(ProxyError, ValueError), breaker.watch():
        if error:
            raise error


@pytest.mark.parametrize("error", [UpstreamDown("x"), UpstreamFault("x"), UpstreamSlow("x")])
def test_failures_in_a_row_open_it(breaker, changes, error):
    for _ in range(FAILURES - 1):
        end(breaker, error)
        assert breaker.is_free()
    end(breaker, error)
    assert not breaker.is_free()
    assert breaker.hangs == isinstance(error, UpstreamSlow)
    assert changes == [True]


def test_two_failures_are_enough_when_nothing_else_came_for_long(breaker, clock):
    end(breaker, UpstreamFault("x"))
    clock.now += 0.4
    end(breaker, UpstreamFault("x"))
    assert breaker.is_free()
    clock.now += 0.1
    end(breaker, UpstreamFault("x"))
    assert not breaker.is_free()


def test_one_failure_is_not(breaker, clock):
    end(breaker, UpstreamFault("x"))
    clock.now += 1000
    assert breaker.is_free()


def test_answers_and_errors_of_the_client_count_as_answers(breaker):
    for answered in (None, RequestError("x"), ValueError("x")):
        for _ in range(FAILURES - 1):
            end(breaker, UpstreamFault("x"))
        end(breaker, answered)
    assert breaker.is_free()


def test_a_trial_is_due_now_and_then_and_an_answer_closes_it(breaker, clock, changes):
    assert not breaker.trial_is_due()
    for _ in range(FAILURES):
        end(breaker, UpstreamFault("x"))
    assert not breaker.trial_is_due()
    clock.now += 1
    assert breaker.trial_is_due()
    assert not breaker.trial_is_due()  # one is enough
    clock.now += 0.5
    end(breaker, UpstreamFault("x"))
    clock.now += 0.6
    assert not breaker.trial_is_due()  # a second after the trial ended
    clock.now += 0.4
    assert breaker.trial_is_due()
    end(breaker)
    assert breaker.is_free()
    assert changes == [True, False]
    for _ in range(FAILURES - 1):  # it has to be earned anew
        end(breaker, UpstreamFault("x"))
    assert breaker.is_free()


def waiting(breaker, n):
    held = [breaker.watch() for _ in range(n)]
    for each in held:
        each.__enter__()
    return held


def test_while_requests_wait_in_silence_others_are_drawn(breaker, clock, changes):
    held = waiting(breaker, 3)
    clock.now += 0.4
    assert breaker.is_free()
    clock.now += 0.1
    assert not breaker.is_free()
    assert not breaker.hangs  # whether it does is not known yet: without others it is asked
    held.pop().__exit__(None, None, None)  # it was only slow
    assert breaker.is_free()
    assert changes == []


def test_a_time_out_in_silence_opens_it_and_a_second_says_that_it_hangs(breaker, clock):
    held = waiting(breaker, 2)
    clock.now += 2
    assert breaker.is_free()
    for hangs, each in zip((False, True), held, strict=True):
        with suppress(UpstreamSlow):
            each.gen.throw(UpstreamSlow("x"))
        assert breaker.is_open
        assert breaker.hangs == hangs


def test_a_time_out_beside_answers_is_a_long_request(breaker, clock):
    (held,) = waiting(breaker, 1)
    for _ in range(10):
        clock.now += 0.2
        end(breaker)
    with suppress(UpstreamSlow):
        held.gen.throw(UpstreamSlow("x"))
    assert breaker.is_free()


def test_few_that_wait_may_be_long_ones(breaker, clock):
    held = waiting(breaker, 2)
    clock.now += 1000
    assert breaker.is_free()
    assert len(held) == 2


def test_a_slow_one_that_answers_is_not_silent(breaker, clock):
    held = waiting(breaker, 5)
    for _ in range(20):
        clock.now += 0.4
        held.pop(0).__exit__(None, None, None)
        held += waiting(breaker, 1)
        assert breaker.is_free()


@given(st.lists(st.sampled_from([None, UpstreamFault("x"), UpstreamSlow("x"), RequestError("x")]), max_size=60))
def test_it_is_open_exactly_after_enough_failures_in_a_row(ends):
    clock = Clock()
    breaker = Breaker("http://x/", FAILURES, 1.0, lambda is_open, why: None, clock)
    in_a_row = 0
    for error in ends:
        end(breaker, error)
        in_a_row = in_a_row + 1 if isinstance(error, (UpstreamFault, UpstreamSlow)) else 0
        assert breaker.is_open == (in_a_row >= FAILURES)


def routes(**urls):
    return [Route(label, 0.5, "rest", url, None) for label, url in urls.items()]


@pytest.fixture
def breakers():
    return Breakers(FAILURES, 1.0, lambda *said: None)


def break_it(breaker, error=UpstreamFault("x")):  # noqa: B008
    for _ in range(FAILURES):
        end(breaker, error)


def drawn(breakers, among, **more):
    return {choose(breakers, "c", among, None, **more).route.label for _ in range(64)}


def test_the_share_of_an_open_one_goes_to_the_others(breakers):
    among = routes(a="http://a/", b="http://b/")
    assert drawn(breakers, among) == {"a", "b"}
    break_it(breakers.of("c", among)[0])
    assert drawn(breakers, among) == {"b"}


def test_what_refused_is_not_drawn_again_while_there_are_others(breakers):
    among = routes(a="http://a/", b="http://b/")
    assert drawn(breakers, among, refused="http://a/") == {"b"}
    break_it(breakers.of("c", among)[1])
    assert drawn(breakers, among, refused="http://a/") == {"a"}
    assert drawn(breakers, among[:1], refused="http://a/") == {"a"}


def test_when_all_have_failed_those_that_fail_at_once_are_asked(breakers):
    among = routes(a="http://a/", b="http://b/")
    first, second = breakers.of("c", among)
    break_it(first, UpstreamSlow("x"))
    break_it(second)
    assert drawn(breakers, among) == {"b"}


def test_one_without_others_is_asked_though_requests_wait(breakers, clock):
    (route,) = routes(a="http://a/")
    (breaker,) = breakers.of("c", [route])
    breaker._clock = clock
    held = waiting(breaker, 3)
    clock.now += 1.5
    assert not breaker.is_free()
    assert len(held) == 3
    assert choose(breakers, "c", [route], None).route is route


def test_when_all_hang_nobody_waits_for_them(breakers):
    among = routes(a="http://a/", b="http://b/")
    for breaker in breakers.of("c", among):
        break_it(breaker, UpstreamSlow("x"))
    with pytest.raises(UpstreamDown, match="variation 'a', 'b' did not answer in time lately"):
        choose(breakers, "c", among, None)


def test_one_that_hangs_is_asked_again_by_one(breakers, clock):
    (route,) = routes(a="http://a/")
    (breaker,) = breakers.of("c", [route])
    breaker._clock = clock
    break_it(breaker, UpstreamSlow("x"))
    clock.now += 1
    assert choose(breakers, "c", [route], None).route is route
    with pytest.raises(UpstreamDown):
        choose(breakers, "c", [route], None)


def test_a_trial_is_named_beside_the_draw(breakers, clock):
    among = routes(a="http://a/", b="http://b/")
    breaker = breakers.of("c", among)[0]
    breaker._clock = clock
    break_it(breaker)
    clock.now += 1
    choice = choose(breakers, "c", among, None)
    assert choice.route.label == "b"
    assert list(choice.trials) == [(among[0], breaker)]
    assert list(choose(breakers, "c", among, None).trials) == []


def test_a_variation_that_moved_begins_anew():
    said = []
    breakers = Breakers(FAILURES, 1.0, lambda *change: said.append(change[:3]))
    among = routes(a="http://a/", b="http://b/")
    break_it(breakers.of("c", among)[0])
    moved = routes(a="http://new/", b="http://b/")
    assert [each.is_open for each in breakers.of("c", moved)] == [False, False]
    assert breakers.of("c", moved)[1] is breakers.of("c", moved)[1]
    assert said == [("c", "a", True), ("c", "a", False)]
    break_it(breakers.of("c", moved)[0])
    breakers.of("c", moved[1:])
    assert said[2:] == [("c", "a", True), ("c", "a", False)]


def test_one_that_is_not_in_use_any_more_does_not_open():
    said = []
    breakers = Breakers(FAILURES, 1.0, lambda *change: said.append(change[:3]))
    (old,) = breakers.of("c", routes(a="http://old/"))
    breakers.of("c", routes(a="http://new/"))
    break_it(old)
    assert said == []


def test_none_at_all():
    breakers = Breakers(0, 1.0, lambda *said: None)
    (breaker,) = breakers.of("c", routes(a="http://a/"))
    for _ in range(100):
        end(breaker, UpstreamSlow("x"))
    held = waiting(breaker, 10)
    assert breaker.is_free()
    assert len(held) == 10
