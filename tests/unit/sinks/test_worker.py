from __future__ import annotations

import threading

import pytest

from defiwatch.errors import StoreError
from defiwatch.sinks.worker import Worker


def test_hands_on_everything_in_order() -> None:
    taken: list[int] = []
    worker: Worker[int] = Worker("w", taken.extend, size=3, batch=2)
    for n in range(50):
        worker.put(n)
    assert worker.close() == 0
    assert taken == list(range(50))


def test_offer_says_no_when_full_and_put_waits() -> None:
    gate, busy = threading.Event(), threading.Event()
    taken: list[int] = []

    def handle(items: list[int]) -> None:
        busy.set()
        gate.wait(20)
        taken.extend(items)

    worker: Worker[int] = Worker("w", handle, size=2, batch=1)
    worker.put(0)
    assert busy.wait(20)
    assert [worker.offer(n) for n in (1, 2, 3)] == [True, True, False]
    late = threading.Thread(target=worker.put, args=(4,))
    late.start()
    late.join(0.1)
    assert late.is_alive(), "put must wait while the queue is full"
    gate.set()
    late.join(20)
    assert worker.flush(20)
    assert taken == [0, 1, 2, 4]
    assert worker.close(20) == 0


def test_elastic_takes_beyond_its_bound() -> None:
    gate = threading.Event()

    def handle(_: list[int]) -> None:
        gate.wait(20)

    worker: Worker[int] = Worker("w", handle, size=1, batch=1)
    worker.elastic = True
    for n in range(20):
        worker.put(n)
    assert not worker.flush(0.05)
    gate.set()
    assert worker.close(20) == 0


def test_close_gives_up_after_its_time_and_says_what_is_left() -> None:
    gate, busy = threading.Event(), threading.Event()

    def handle(_: list[int]) -> None:
        busy.set()
        gate.wait(20)

    worker: Worker[int] = Worker("w", handle, batch=1)
    for n in range(3):
        worker.put(n)
    assert busy.wait(20)
    assert worker.close(0.05) == 3
    gate.set()


def test_is_called_without_work_when_idle() -> None:
    called = threading.Event()
    worker: Worker[int] = Worker("w", lambda items: None if items else called.set(), idle_s=0.01)
    assert called.wait(20)
    worker.close()


def test_put_on_a_dead_thread_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    died = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: died.set())

    def handle(_: list[int]) -> None:
        raise RuntimeError("broken")

    worker: Worker[int] = Worker("sink", handle)
    worker.put(1)
    assert died.wait(20)
    with pytest.raises(StoreError, match="sink has stopped"):
        worker.put(2)
