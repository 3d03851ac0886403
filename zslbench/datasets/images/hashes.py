"""What an image looks like, in few bits: like images have like hashes."""

import numpy as np
from numpy.typing import NDArray


def difference_hashes(image: NDArray[np.uint8]) -> tuple[int, int]:
    """Twice 64 bits: where an image (H, W, 3), in grey and shrunk, gets brighter to the right, and downwards.

    One direction alone takes any two pictures of the same stripes, a road and a pier, for one.
    """
    import PIL.Image

    grey = PIL.Image.fromarray(image).convert("L")
    across = np.asarray(grey.resize((9, 8), PIL.Image.Resampling.LANCZOS))
    down = np.asarray(grey.resize((8, 9), PIL.Image.Resampling.LANCZOS)).T
    right, below = (
        int.from_bytes(np.packbits(small[:, 1:] > small[:, :-1]).tobytes(), "big") for small in (across, down)
    )
    return right, below
