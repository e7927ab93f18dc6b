"""What `why` draws of two images: the proof as an image, and all of it as a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from dedup.arguments import path_of
from dedup.errors import DedupError
from dedup.report.pages import check_page

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from dedup.duplicates.explain import Sight
    from dedup.results import Explanation


class Drawings:
    """Draws what was asked for: first `look`, while the images are compared, then `write`."""

    def __init__(self, image: Path | None, page: Path | None) -> None:
        self.image = image
        self.page = page
        self._seen: tuple[Sight, Sight, npt.NDArray[np.float64] | None] | None = None

    @classmethod
    def asked(cls, image: Any, page: Any) -> Self:
        """Check where to.

        Raises
        ------
        DedupError : another ending than .png and .html, or a page's folder is not there.
        """
        drawing, file = (
            None if one is None else Path(path_of(one, name))
            for one, name in ((image, "image"), (page, "page"))
        )
        if drawing is not None and drawing.suffix.lower() != ".png":
            raise DedupError(f"{drawing}: the drawing of a proof is a .png")
        if file is not None:
            check_page(file)
        return cls(drawing, file)

    def look(self, first: Sight, second: Sight, over: npt.NDArray[np.float64] | None) -> None:
        """Take what was compared; draws the proof."""
        from dedup.images.encode import write_png
        from dedup.proof.drawing import draw_proof

        self._seen = first, second, over
        if self.image is not None:
            write_png(draw_proof(first.pixels, second.pixels, over), self.image)

    def write(self, explanation: Explanation) -> None:
        """Write the page."""
        if self.page is None or self._seen is None:
            return
        from dedup.report.why import Side, write_why

        *sights, over = self._seen
        sides = [Side(one.path, one.data, one.pixels.shape[:2]) for one in sights]
        write_why(explanation, sides, over, self.page)
