"""The data engine: volumes, masks and reports in, a grounded dataset out.

    --config=configs/annotate.py:manifest=studies.csv,out=annotated
    --config=configs/annotate.py:manifest=studies.csv,out=annotated,segment=totalsegmentator
    --config=configs/annotate.py:manifest=studies.csv,out=annotated,preset=released

`preset=own` is for a group's own data. `preset=released` follows the published data: no class is
shown by its parts, and no component is too small.
"""

import ml_collections

from big_rad.config import recipes as config_lib


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    a = config_lib.parse_arg(
        arg,
        manifest="",
        out="",
        segment=("precomputed", "totalsegmentator"),
        preset=("own", "released"),
    )
    c = base()
    c.manifest, c.out, c.segment = a.manifest, a.out, a.segment
    if a.preset == "released":
        c.match.rollup, c.match.min_area_mm2 = False, 0.0
    return c


def base() -> ml_collections.ConfigDict:
    """Returns a config with every field of the data engine and its default value."""
    c = ml_collections.ConfigDict()
    # The table of studies: CSV, Excel or JSON lines, see docs/annotate.md.
    c.manifest = ""
    # Instead of a manifest: "totalsegmentator" reads the public dataset in the folder `source`,
    # with the reports in the table `notes` if that is given.
    c.importer, c.source, c.notes = "", "", ""
    # The folder of the results.
    c.out = ""
    # The file with the key of all pseudonyms; "" is OUT/secret.key. It is made if it is missing.
    c.key = ""
    # Where label maps come from: "precomputed" (the column `mask`) or "totalsegmentator".
    c.segment = "precomputed"
    c.totalsegmentator = dict(
        # The program, and arguments before those of the data engine.
        command=("TotalSegmentator",),
        # The Python of its environment; "" finds it from the command.
        python="",
        # A folder for its temporary homes, and the folder of its weights; "" takes the folder of
        # the results, and the place where TotalSegmentator itself keeps its weights.
        home="",
        weights="",
        # "gpu", "gpu:1", "cpu" or "mps".
        device="gpu",
        # Whether the model of 3 mm is used instead of the one of 1.5 mm.
        fast=False,
        # Seconds after which a segmentation is given up.
        timeout_s=600.0,
    )
    c.match = dict(
        # The planes in which slices are proposed for sentences without a slice of their own, and
        # how many in each.
        planes=("axial",),
        slices_per_sentence=1,
        # Components of a class that are smaller than this leave the label map.
        min_area_mm2=10.0,
        # Whether lobes show a lung and single vertebrae the spine.
        rollup=True,
    )
    # How image numbers in reports count the axial slices of NIfTI volumes: "ascending" (image 1 is
    # next to the feet), "descending" (next to the top of the head) or "" (not known). DICOM files
    # say it themselves.
    c.nifti_image_numbers = ""
    # Whether dates, numbers and names are removed from reports also by patterns, and a function
    # "package.module:function" that finds more, or "".
    c.patterns, c.scrubber = True, ""
    # The slices of each volume that get template sentences; for volumes without reports.
    c.templates = 0
    # The shares of patients in train, val and test; the dataset of an earlier run, whose patients
    # stay in their splits, or "".
    c.shares, c.splits_from = (0.8, 0.1, 0.1), ""
    # Whether patients of an earlier run in the same folder of results stay in their splits. With
    # False all patients are drawn anew.
    c.keep_splits = True
    # The most questions about the finding of an image; 0 asks nothing.
    c.questions = 5
    # The licences of the sources, for the card, such as dict(source="own", licence="none",
    # note="", pass_on=False). Without one the card says that the data may not be passed on.
    c.licences = ()
    # The number of worker processes; with TotalSegmentator, about two to four for each GPU.
    c.workers = 1
    c.seed = 0
    return c
