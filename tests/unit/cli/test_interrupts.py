"""Ctrl-C."""

import os
import signal
import threading

import pytest

from vna_lifecycle.cli.interrupts import stoppable


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_asks_the_work_to_stop_and_lets_it_finish(capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[str] = []
    with pytest.raises(KeyboardInterrupt), stoppable(lambda: asked.append("stop")):
        interrupt()
        asked.append("finished")
    assert asked == ["stop", "finished"]
    assert "stopping" in capsys.readouterr().err


def test_the_second_stops_it_at_once() -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt), stoppable(lambda: None):
        interrupt()
        interrupt()
        done.append("not reached")
    assert done == []


def test_afterwards_everything_is_as_before() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stoppable(lambda: None):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_of_the_work_is_not_hidden_by_the_interrupt() -> None:
    with pytest.raises(ZeroDivisionError), stoppable(lambda: None):
        interrupt()
        raise ZeroDivisionError


def test_in_another_thread_signals_are_left_alone() -> None:
    seen: list[object] = []

    def work() -> None:
        with stoppable(lambda: None):
            seen.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
