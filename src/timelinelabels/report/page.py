"""The page around charts and tables."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
       color: #1f2937; background: #fff }
h1 { margin-bottom: 0 } h2 { margin-top: 2.5rem } h3 { margin: 1.5rem 0 .3rem }
.quiet { color: #6b7280 } .warning { background: #fef3c7; padding: .5rem 1rem; border-radius: 4px }
.wide { overflow-x: auto }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #e5e7eb }
th:first-child, td:first-child { text-align: left }
svg { width: 100%; height: auto; display: block; margin: .5rem 0 1rem }
svg text { font: 12px system-ui, sans-serif; fill: #4b5563 }
svg .grid { stroke: #e5e7eb } svg .bar { fill: #f3f4f6 }
"""


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; numbers are shown to two digits, None as a dash."""
    head = "".join(f"<th>{escape(header)}</th>" for header in headers)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell(value))}</td>' for value in row)}</tr>" for row in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def cell(value: object) -> str:
    """A value as tables show it: scores to two digits, None as a dash."""
    if value is None:
        return "–"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def quiet(text: str) -> str:
    """A paragraph in grey."""
    return f'<p class="quiet">{escape(text)}</p>'


def warning(text: str) -> str:
    """A paragraph that must be seen."""
    return f'<p class="warning">{escape(text)}</p>'


def heading(level: int, text: str) -> str:
    """A heading."""
    return f"<h{level}>{escape(text)}</h{level}>"


def write_page(path: Path, title: str, parts: Sequence[str]) -> None:
    """Write the page in one step, so that a reader never meets half of it."""
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body>\n<h1>{escape(title)}</h1>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )
    draft = path.with_name(f".{path.name}.partial")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
