import logging
import threading

import pytest

from big_rad import quiet

LOGGER = logging.getLogger("absl")


def test_warnings_of_a_call_are_dropped_and_its_errors_pass(caplog):
    with quiet.without_warnings():
        LOGGER.warning("no news")
        LOGGER.error("news")
    LOGGER.warning("of the user")
    assert caplog.messages == ["news", "of the user"]


def test_what_other_loggers_and_other_threads_log_passes(caplog):
    with quiet.without_warnings():
        logging.getLogger("mine").warning("mine")
        thread = threading.Thread(target=LOGGER.warning, args=("of a thread",))
        thread.start()
        thread.join()
    assert caplog.messages == ["mine", "of a thread"]


def test_nothing_stays_changed_after_an_error_either():
    before = (LOGGER.level, list(LOGGER.filters), list(LOGGER.handlers))
    with pytest.raises(KeyError), quiet.without_warnings():
        with quiet.without_warnings():
            pass
        raise KeyError
    assert before == (LOGGER.level, list(LOGGER.filters), list(LOGGER.handlers))
