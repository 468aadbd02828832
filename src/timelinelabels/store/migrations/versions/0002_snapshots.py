"""What Label Studio itself said it has: snapshots of annotated tasks.

Revision 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the columns."""
    op.add_column("projects", sa.Column("reconciled_at", TIME, nullable=True))
    op.add_column("projects", sa.Column("gone_at", TIME, nullable=True))
    op.add_column("tasks", sa.Column("seen_at", TIME, nullable=True))
    op.add_column("annotations", sa.Column("last_received_at", TIME, nullable=True))
    op.add_column("annotations", sa.Column("seen_at", TIME, nullable=True))
    op.add_column("annotations", sa.Column("absent_at", TIME, nullable=True))


def downgrade() -> None:
    """Drop the columns."""
    op.drop_column("projects", "reconciled_at")
    op.drop_column("projects", "gone_at")
    op.drop_column("tasks", "seen_at")
    for name in ("last_received_at", "seen_at", "absent_at"):
        op.drop_column("annotations", name)
