"""Charts as inline SVG: curves, timelines, and the table beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]
Spans = Sequence[tuple[float, float]]

LEFT, RIGHT, TOP, BOTTOM, WIDTH, HEIGHT = 56, 250, 12, 44, 1000, 320


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A named line."""

    name: str
    # In any order of x; drawn as given.
    points: Sequence[Point]
    colour: str
    dots: bool = True
    dashed: bool = False


def colour(index: int) -> str:
    """A colour for the index-th label, far from its neighbours' (golden angle on the wheel)."""
    return f"hsl({(215 + index * 137.508) % 360:.0f} 68% {46 if index % 2 == 0 else 38}%)"


def curves(
    lines: Sequence[Curve], *, x_label: str, y_label: str, x_max: float = 1.0, y_max: float = 1.0
) -> str:
    """Lines over 0..x_max, 0..y_max, their names at the right."""

    def at(point: Point) -> tuple[float, float]:
        return (
            LEFT + (WIDTH - LEFT - RIGHT) * point[0] / x_max,
            HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(point[1], y_max) / y_max,
        )

    parts = []
    for tick in range(6):
        (x0, y), (x1, _) = at((0, y_max * tick / 5)), at((x_max, 0))
        parts.append(
            f'<line x1="{x0:.0f}" x2="{x1:.0f}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
            f'<text x="{x0 - 8:.0f}" y="{y + 4:.1f}" text-anchor="end">{y_max * tick / 5:g}</text>'
        )
    for value in _ticks(x_max):
        x, y = at((value, 0))
        parts.append(f'<text x="{x:.0f}" y="{y + 18:.0f}" text-anchor="middle">{value:g}</text>')
    for place, line in enumerate(lines):
        drawn = [at(point) for point in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)
        dash = ' stroke-dasharray="5 5"' if line.dashed else ""
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{line.colour}" stroke-width="2"{dash}/>'
        )
        if line.dots:
            parts.extend(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{line.colour}">'
                f"<title>{escape(line.name)}: {given[0]:.3g}, {given[1]:.3g}</title></circle>"
                for (x, y), given in zip(drawn, line.points, strict=True)
            )
        key_y = TOP + 10 + 19 * place
        parts.append(
            f'<rect x="{WIDTH - RIGHT + 24}" y="{key_y - 9}" width="12" height="12" rx="2" '
            f'fill="{line.colour}"/><text x="{WIDTH - RIGHT + 42}" y="{key_y + 2}">'
            f"{escape(line.name)}</text>"
        )
    height = max(HEIGHT, TOP + 24 + 19 * len(lines))
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text x="{middle:.0f}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>'
        f'<text transform="translate(14 {(HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)" '
        f'text-anchor="middle">{escape(y_label)}</text>'
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(y_label)} by '
        f'{escape(x_label)}">{"".join(parts)}</svg>'
    )


def timeline(
    length: float,
    labels: Sequence[str],
    truth: Mapping[str, Spans],
    predicted: Mapping[str, Spans],
    *,
    unit: str = "frames",
) -> str:
    """One video: a row for each label, the truth above and the prediction below.

    Args:
        length: of the video, in the unit of the spans.
        labels: rows, from the top.
        truth: label → half-open spans.
        predicted: the same.
        unit: what the tips call the positions.
    """
    height, gap, left = 11, 4, 170
    parts = []
    for row, label in enumerate(labels):
        top = row * (2 * height + gap)
        parts.append(
            f'<text x="{left - 8}" y="{top + height + 5}" text-anchor="end">{escape(label)}</text>'
        )
        for offset, spans, opacity, what in (
            (0, truth.get(label, ()), 0.45, "true"),
            (height, predicted.get(label, ()), 1.0, "predicted"),
        ):
            y = top + offset
            parts.append(
                f'<rect x="{left}" y="{y}" width="{WIDTH - left}" height="{height - 1}" class="bar"/>'
            )
            for start, end in spans:
                x = left + (WIDTH - left) * start / length
                width = max(1.0, (WIDTH - left) * (end - start) / length)
                parts.append(
                    f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height - 1}" '
                    f'fill="{colour(row)}" opacity="{opacity}"><title>{what}: {escape(label)}, '
                    f"{unit} {start + 1:g}-{end:g}</title></rect>"
                )
    total = len(labels) * (2 * height + gap)
    return f'<svg viewBox="0 0 {WIDTH} {max(total, 1)}" role="img">{"".join(parts)}</svg>'


def _ticks(x_max: float) -> list[float]:
    """At most about ten round values in 0..x_max."""
    if x_max <= 1:
        return [x_max * tick / 5 for tick in range(6)]
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10**9) if x_max / s <= 12)
    return [float(value) for value in range(0, int(x_max) + 1, step)]
