"""Cutting a video into windows."""


def window_starts(length: int, size: int, overlap: int, *, whole: bool = False) -> list[int]:
    """Where windows of `size` rows begin so that they cover `length` rows.

    Args:
        length: rows, at least 1.
        size: rows in a window.
        overlap: rows shared by neighbours; at most size - 1 counts.
        whole: move the last window back so that none reaches past the end (needs length ≥ size).
    """
    step = max(1, size - max(0, overlap))
    starts = [0]
    while starts[-1] + size < length:
        starts.append(starts[-1] + step)
    if whole and starts[-1] + size > length:
        starts[-1] = length - size
    return starts
