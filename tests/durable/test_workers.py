"""A lost worker costs time and nothing else."""

from __future__ import annotations

from functools import partial

import pytest

from nmmfit.durable import ChunkStore, run_chunks
from nmmfit.durable.workers import LostWorkersError, on_processes
from tests.durable.lost import dying, dying_once


def test_chunks_of_a_lost_worker_are_computed_again(tmp_path):
    found = run_chunks(ChunkStore(tmp_path / "s", {}), 4, partial(dying_once, str(tmp_path)), engine=on_processes(2))
    assert (tmp_path / "died").exists()
    assert [int(chunk["square"]) for chunk in found] == [0, 1, 4, 9]


def test_workers_that_always_die_end_it_and_what_is_finished_stays(tmp_path):
    store = ChunkStore(tmp_path, {})
    run_chunks(store, 1, dying)
    with pytest.raises(LostWorkersError, match=r"processes died 2 times in a row; not computed: chunks 1, 2$"):
        run_chunks(store, 3, dying, engine=on_processes(1, tries=2))
    assert store.numbers() == [0]
