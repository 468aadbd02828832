"""How many processors a container grants."""

from pathlib import Path

import pytest

from timelinelabels.processors import granted_processors, usable_processors


@pytest.mark.parametrize(
    ("text", "granted"),
    [
        ("max 100000\n", None),
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("10000 100000\n", 1),
    ],
)
def test_a_limit_of_the_second_version_of_control_groups(
    tmp_path: Path, text: str, granted: int | None
) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert granted_processors(tmp_path) == granted


@pytest.mark.parametrize(("quota", "granted"), [("-1\n", None), ("300000\n", 3)])
def test_a_limit_of_the_first_version(tmp_path: Path, quota: str, granted: int | None) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert granted_processors(tmp_path) == granted


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert granted_processors(tmp_path) is None
    assert usable_processors() >= 1
