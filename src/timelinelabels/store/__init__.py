"""What must survive: annotations seen, work to do with leases and progress, model versions.

::

    store.py       Store: one method, one transaction
    engine.py      SQLite and PostgreSQL: transactions, errors, time
    tables.py      the schema; migrations/ make it, migrate.py runs them
    identity.py    pure rules: which annotations and tasks still exist
    ledger.py      events meet those rules; annotations.py reads the outcome
    reconcile.py   what Label Studio itself has outweighs what was heard
    events.py      which changes are worth a training; projects.py, whose they are
    work.py        leases, attempts, delays
    versions.py    numbers that are never reused, texts, the published heads
"""

from timelinelabels.store.events import ASKED
from timelinelabels.store.statistics import Statistics
from timelinelabels.store.store import Store
from timelinelabels.store.versions import VersionRecord
from timelinelabels.store.work import WorkItem, WorkState

__all__ = ["ASKED", "Statistics", "Store", "VersionRecord", "WorkItem", "WorkState"]
