from serving.proxy import kept
from serving.proxy.kept import Kept


def test_the_longest_unused_are_forgotten(monkeypatch):
    monkeypatch.setattr(kept, "MOST", 2)
    made = []

    def make(address):
        made.append(address)
        return address.upper()

    kept_ones = Kept(make)
    assert [kept_ones.of(address) for address in "abacab"] == list("ABACAB")
    assert made == ["a", "b", "c", "b"]
    assert kept_ones.clear() == ["A", "B"]
    assert kept_ones.of("a") == "A"
    assert len(made) == 5


def test_what_was_replaced_meanwhile_stays():
    kept_ones = Kept(lambda address: [address])
    first = kept_ones.of("a")
    kept_ones.forget("a", first)
    second = kept_ones.of("a")
    assert second is not first
    kept_ones.forget("a", first)
    assert kept_ones.of("a") is second
    kept_ones.forget("never", first)
