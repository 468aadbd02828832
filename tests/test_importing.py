"""The garbage collector during imports."""

import gc

import pytest

from timelinelabels.importing import collector_paused


def test_the_collector_rests_in_the_block_and_goes_on_after_it() -> None:
    assert gc.isenabled()
    with pytest.raises(ImportError), collector_paused():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
