"""Cutting a video into training windows."""


def window_starts(length: int, size: int, overlap: int, *, whole: bool = False) -> list[int]:
    """Where windows of `size` frames begin so that they cover `length` frames.

    Args:
        length: frames, at least 1.
        size: frames in a window.
        overlap: frames shared by neighbours; at most size - 1 counts.
        whole: move the last window back so that none reaches past the end (needs length ≥ size).
    """
    step = max(1, size - max(0, overlap))
    starts = [0]
    while starts[-1] + size < length:
        starts.append(starts[-1] + step)
    if whole and starts[-1] + size > length:
        starts[-1] = length - size
    return starts
