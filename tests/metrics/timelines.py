"""Strategies: timelines as spans by label, in whole units."""

from hypothesis import strategies as st

LABELS = ("a", "b", "c")

spans = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 12)).map(lambda item: (item[0], sum(item))),
    max_size=6,
)
timelines = st.dictionaries(st.sampled_from(LABELS), spans)
video_pairs = st.lists(st.tuples(timelines, timelines), min_size=1, max_size=4)


def shifted(video, by):
    return {label: [(s + by, e + by) for s, e in items] for label, items in video.items()}


def mirrored(video):
    return {label: [(-e, -s) for s, e in items] for label, items in video.items()}
