"""A grounded dataset from the public volumes of TotalSegmentator, without clinical data or a GPU.

    --config=configs/annotate_public.py:source=Totalsegmentator_dataset_v201,out=annotated_ct
    --config=configs/annotate_public.py:source=TotalsegmentatorMRI_dataset_v200,out=annotated_mr
    --config=configs/annotate_public.py:source=DIR,out=DIR,notes=AbdomenAtlasRadiologistsNotes.csv

The masks are those of the dataset. Each volume gets template sentences about slices in all three
planes; `notes` adds sentences of real reports to some of the CT volumes. With the notes, the result
must not be passed on; the card says so.
"""

import ml_collections

from big_rad.config import recipes as config_lib
from configs import annotate


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    a = config_lib.parse_arg(arg, source="", out="", notes="")
    c = annotate.base()
    c.importer, c.source, c.notes, c.out = "totalsegmentator", a.source, a.notes, a.out
    c.segment = "precomputed"
    c.match.planes = ("axial", "coronal", "sagittal")
    # Three axial, three coronal and two sagittal slices of each volume.
    c.templates = 8
    return c
