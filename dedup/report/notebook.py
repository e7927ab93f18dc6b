"""Rows and features as HTML for notebooks: small images, bounded in number, names as text only."""

from __future__ import annotations

import base64
from functools import singledispatch
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dedup.errors import ImageError, LayerError
from dedup.images.decode import decode_bounded, read_file
from dedup.images.encode import as_webp
from dedup.models.features import Features
from dedup.report.looks import enlarged, in_colour
from dedup.results import Comparison, DuplicatesAnswer, Group, Match, Neighbour, QueryAnswer

if TYPE_CHECKING:
    from collections.abc import Iterable

_SIDE, _BYTES = 160, 6000
_MOST_IMAGES: Final = 8  # of a group, or of a batch
_MOST_ROWS: Final = 12  # of an answer

_FIGURE: Final = (
    '<figure style="display:inline-block;width:170px;margin:4px;vertical-align:top;'
    'font-size:12px;overflow-wrap:anywhere">{image}<figcaption>{caption}</figcaption></figure>'
)


@singledispatch
def html_of(value: Any) -> str:
    """Draw a row, an answer or features."""
    raise TypeError(f"nothing to draw of {type(value).__name__}")


@html_of.register
def _(group: Group) -> str:
    figures = [_figure(group.keeper, "keeper", group.kept_because)]
    shown = group.duplicates[: _MOST_IMAGES - 1]
    figures += [_figure(one.path, one.tier, one.evidence) for one in shown]
    return (
        f"<div><b>Group {group.number}: {group.tier}</b><br>"
        f"{''.join(figures)}{_more(len(group.duplicates) - len(shown), 'file')}</div>"
    )


@html_of.register
def _(match: Match) -> str:
    figures = _figure(match.path, "new", ""), _figure(match.match, match.tier, match.evidence)
    return f"<div>{''.join(figures)}</div>"


@html_of.register
def _(neighbour: Neighbour) -> str:
    return _figure(neighbour.path, f"{neighbour.rank}", f"similarity {neighbour.similarity:.4f}")


@html_of.register(DuplicatesAnswer)
@html_of.register(Comparison)
@html_of.register(QueryAnswer)
def _(answer: DuplicatesAnswer | Comparison | QueryAnswer) -> str:
    rows: Iterable[Any] = answer[:_MOST_ROWS]
    notes = "".join(f"<p>{_text(note)}</p>" for note in answer.notes)
    drawn = "".join(html_of(row) for row in rows) or "<p>nothing found</p>"
    return f"<div>{drawn}{_more(len(answer) - _MOST_ROWS, 'row')}{notes}</div>"


@html_of.register
def _(features: Features) -> str:
    rows = "".join(
        f"<tr><td>{_text(layer)}</td><td>{' × '.join(map(str, output.shape))}</td>"
        f"<td>{_range(output)}</td><td>{''.join(_means(features, layer))}</td></tr>"
        for layer, output in features.items()
    )
    head = "<tr><th>layer</th><th>shape</th><th>values</th><th>mean of the channels</th></tr>"
    return f"<table>{head}{rows}</table>"


def _range(output: Any) -> str:
    return f"{output.min():.3g} to {output.max():.3g}" if output.size else "none"


def _means(features: Features, layer: str) -> list[str]:
    """Draw the mean of the maps of each image; nothing where there are no maps."""
    try:
        maps = features.maps(layer)[:_MOST_IMAGES]
    except (ValueError, LayerError):
        return []
    return [_image(enlarged(in_colour(one.mean(axis=0))), width=96) for one in maps]


def _figure(path: str, word: str, more: str) -> str:
    try:
        image = _image(decode_bounded(read_file(path), _SIDE, path, srgb=True))
    except ImageError as error:
        image = f"<i>{_text(error.reason)}</i>"
    caption = f"<b>{_text(word)}</b> {_text(path)}<br>{_text(more)}"
    return _FIGURE.format(image=image, caption=caption)


def _image(pixels: Any, *, width: int = _SIDE) -> str:
    data = base64.b64encode(as_webp(np.ascontiguousarray(pixels), _BYTES)).decode()
    return f'<img alt="" style="max-width:{width}px" src="data:image/webp;base64,{data}">'


def _more(count: int, what: str) -> str:
    return f"<p>and {count:,} more {what}{'' if count == 1 else 's'}</p>" if count > 0 else ""


def _text(text: str) -> str:
    """Escape what is markup, and what is not seen or turns text around."""
    return escape(
        "".join(
            one if one.isprintable() else one.encode("unicode_escape", "backslashreplace").decode()
            for one in text
        )
    )
