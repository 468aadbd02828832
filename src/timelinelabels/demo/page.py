"""The demo's HTML page: predicted against true timelines, and the learning curve. No script, one file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

Ranges = Sequence[tuple[int, int]]

COLOURS = ("#2563eb", "#dc2626", "#059669", "#d97706")
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1f2937; background: #fff }
h1 { margin-bottom: 0 } h2 { margin-top: 2.5rem } .quiet { color: #6b7280 }
table { border-collapse: collapse; margin: 1rem 0 } th, td { padding: .3rem .8rem; text-align: right;
       border-bottom: 1px solid #e5e7eb } th:first-child, td:first-child { text-align: left }
svg { width: 100%; height: auto; display: block } .key { display: inline-block; width: .8em;
       height: .8em; margin: 0 .3em 0 1em; border-radius: 2px }
"""


@dataclass(frozen=True, kw_only=True)
class Step:
    """Scores on the unseen videos after some annotations; frame F1 (macro), 0..1."""

    annotated: int
    model_version: str
    ours: float
    logistic_regression: float
    constant: float


@dataclass(frozen=True, kw_only=True)
class VideoTimelines:
    """One unseen video: label → closed 1-based frame ranges."""

    name: str
    frames: int
    truth: Mapping[str, Ranges]
    predicted: Mapping[str, Ranges]


def write_page(
    path: Path,
    *,
    steps: Sequence[Step],
    videos: Sequence[VideoTimelines],
    labels: Sequence[str],
    backbone: str,
) -> None:
    """Write the page."""
    keys = "".join(
        f'<span class="key" style="background:{COLOURS[index]}"></span>{escape(label)}'
        for index, label in enumerate(labels)
    )
    rows = "".join(
        f"<tr><td>{step.annotated}</td><td>{escape(step.model_version)}</td><td><b>{step.ours:.2f}</b></td>"
        f"<td>{step.logistic_regression:.2f}</td><td>{step.constant:.2f}</td></tr>"
        for step in steps
    )
    timelines = "".join(
        f"<h3>{escape(video.name)}</h3>{_timeline(video, labels)}" for video in videos
    )
    path.write_text(
        f"""<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>timelinelabels demo</title>
<style>{STYLE}</style></head><body>
<h1>timelinelabels demo</h1>
<p class="quiet">Learned live from rendered videos, one Submit after another.
Backbone: {escape(backbone)}.</p>
<h2>Score on unseen videos</h2>
{_curve(steps)}
<table><tr><th>annotated videos</th><th>model version</th><th>timelinelabels</th>
<th>per-frame logistic regression</th><th>constant</th></tr>{rows}</table>
<p class="quiet">Frame F1, mean over labels, on videos that no model has seen. The constant predictor
says of every frame that each label it has met in training is present: the best a constant can do.</p>
<h2>Unseen videos: truth above, prediction below</h2><p>{keys}</p>
{timelines}</body></html>
""",
        encoding="utf-8",
    )


def _timeline(video: VideoTimelines, labels: Sequence[str]) -> str:
    """Two bars for each label over the frames of a video."""
    height, parts = 30, []
    for index, label in enumerate(labels):
        top = index * (height + 8)
        for offset, ranges, opacity in (
            (0, video.truth.get(label, ()), 0.45),
            (height // 2, video.predicted.get(label, ()), 1.0),
        ):
            parts.append(
                f'<rect x="0" y="{top + offset}" width="1000" height="{height // 2 - 1}" fill="#f3f4f6"/>'
            )
            for start, end in ranges:
                left, width = (
                    1000 * value / video.frames for value in (start - 1, end - start + 1)
                )
                parts.append(
                    f'<rect x="{left:.1f}" y="{top + offset}" width="{width:.1f}" '
                    f'height="{height // 2 - 1}" fill="{COLOURS[index]}" opacity="{opacity}">'
                    f"<title>{escape(label)}: frames {start}-{end}</title></rect>"
                )
    total = len(labels) * (height + 8)
    return f'<svg viewBox="0 0 1000 {total}" role="img">{"".join(parts)}</svg>'


def _curve(steps: Sequence[Step]) -> str:
    """F1 against the number of annotated videos."""
    last = max((step.annotated for step in steps), default=1)

    def line(values: Sequence[float], colour: str, name: str) -> str:
        points = [
            (40 + 700 * step.annotated / last, 210 - 200 * value)
            for step, value in zip(steps, values, strict=True)
        ]
        path = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
        dots = "".join(
            f'<circle cx="{x:.0f}" cy="{y:.0f}" r="4" fill="{colour}"/>' for x, y in points
        )
        y = points[-1][1] if points else 0
        return (
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'
            f'<text x="750" y="{y + 5:.0f}" font-size="14" fill="{colour}">{name}</text>'
        )

    grid = "".join(
        f'<line x1="40" x2="740" y1="{210 - 200 * v}" y2="{210 - 200 * v}" stroke="#e5e7eb"/>'
        f'<text x="8" y="{215 - 200 * v}" font-size="12" fill="#6b7280">{v:.1f}</text>'
        for v in (0, 0.5, 1)
    )
    return (
        f'<svg viewBox="0 0 1000 240" role="img">{grid}'
        f"{line([s.constant for s in steps], '#9ca3af', 'constant')}"
        f"{line([s.logistic_regression for s in steps], '#d97706', 'logistic regression')}"
        f"{line([s.ours for s in steps], '#2563eb', 'timelinelabels')}</svg>"
    )
