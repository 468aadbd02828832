"""The first schema.

Revision 0001, after nothing.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "projects",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("label_studio_id", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=True),
        sa.Column("label_config", sa.Text(), nullable=True),
        sa.Column("label_config_updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("training_fingerprint", sa.Text(), nullable=True),
        sa.Column("wanted_fingerprint", sa.Text(), nullable=True),
        sa.Column("heads", sa.Text(), nullable=True),
        sa.Column("last_version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_projects")),
        sa.UniqueConstraint(
            "label_studio_id", "created", name=op.f("uq_projects_label_studio_id_created")
        ),
    )
    op.create_table(
        "work",
        sa.Column("row_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("wanted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_token", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("progress_done", sa.BigInteger(), nullable=True),
        sa.Column("progress_total", sa.BigInteger(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("row_id", name=op.f("pk_work")),
        sa.UniqueConstraint("kind", "key", name=op.f("uq_work_kind_key")),
    )
    op.create_table(
        "annotations",
        sa.Column("row_id", sa.Integer(), nullable=False),
        sa.Column("project_key", sa.Text(), nullable=False),
        sa.Column("annotation_id", sa.Text(), nullable=False),
        sa.Column("unique_id", sa.Text(), nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("task_created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("was_cancelled", sa.Boolean(), nullable=False),
        sa.Column("ground_truth", sa.Boolean(), nullable=False),
        sa.Column("completed_by", sa.Text(), nullable=True),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("first_received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_key"], ["projects.key"], name=op.f("fk_annotations_project_key_projects")
        ),
        sa.PrimaryKeyConstraint("row_id", name=op.f("pk_annotations")),
        sa.UniqueConstraint(
            "project_key",
            "annotation_id",
            "unique_id",
            name=op.f("uq_annotations_project_key_annotation_id_unique_id"),
        ),
    )
    op.create_index(
        op.f("ix_annotations_project_key_current"), "annotations", ["project_key", "current"]
    )
    op.create_index(
        op.f("ix_annotations_project_key_task_id"), "annotations", ["project_key", "task_id"]
    )
    op.create_table(
        "model_versions",
        sa.Column("row_id", sa.Integer(), nullable=False),
        sa.Column("project_key", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_key"], ["projects.key"], name=op.f("fk_model_versions_project_key_projects")
        ),
        sa.PrimaryKeyConstraint("row_id", name=op.f("pk_model_versions")),
        sa.UniqueConstraint(
            "project_key", "fingerprint", name=op.f("uq_model_versions_project_key_fingerprint")
        ),
        sa.UniqueConstraint(
            "project_key", "number", name=op.f("uq_model_versions_project_key_number")
        ),
    )
    op.create_table(
        "tasks",
        sa.Column("row_id", sa.Integer(), nullable=False),
        sa.Column("project_key", sa.Text(), nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("first_received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_key"], ["projects.key"], name=op.f("fk_tasks_project_key_projects")
        ),
        sa.PrimaryKeyConstraint("row_id", name=op.f("pk_tasks")),
        sa.UniqueConstraint(
            "project_key",
            "task_id",
            "created_at",
            name=op.f("uq_tasks_project_key_task_id_created_at"),
        ),
    )
    op.create_table(
        "tombstones",
        sa.Column("project_key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_key"], ["projects.key"], name=op.f("fk_tombstones_project_key_projects")
        ),
        sa.PrimaryKeyConstraint("project_key", "kind", "item_id", name=op.f("pk_tombstones")),
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("model_versions", "work", "tombstones", "annotations", "tasks", "projects"):
        op.drop_table(table)
