"""What describes classes, from files and names to arrays with their cards.

Nothing heavy is imported here: torch and the sentence encoder are imported inside the functions that need them.
"""

from zslbench.datasets.semantics.block import SemanticsBlock, as_single, block_name, unique_names
from zslbench.datasets.semantics.descriptions import embed_descriptions, prompted, read_descriptions
from zslbench.datasets.semantics.prompts import PROMPT
from zslbench.datasets.semantics.reading import choose_encoder, read_semantics
from zslbench.datasets.semantics.sentence import ENCODER, ENCODER_DIM, ENCODER_PACKAGES, check_encoder
from zslbench.datasets.semantics.tables import AttributeTable, read_attributes

__all__ = [
    "ENCODER",
    "ENCODER_DIM",
    "ENCODER_PACKAGES",
    "PROMPT",
    "AttributeTable",
    "SemanticsBlock",
    "as_single",
    "block_name",
    "check_encoder",
    "choose_encoder",
    "embed_descriptions",
    "prompted",
    "read_attributes",
    "read_descriptions",
    "read_semantics",
    "unique_names",
]
