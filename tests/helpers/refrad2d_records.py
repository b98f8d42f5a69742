"""Helpers for the tests of the builder, which look into built records."""

from big_rad.pp import packed

OURS = {"train": "train", "val": "validation", "test": "test"}


def images_of(example):
    """The images of an example, whether it has one or several."""
    return example.get("images") or [example]


def arrays(example):
    """The pixels of the images of an example."""
    return [packed.array(image["image"]) for image in images_of(example)]


def match(examples, item):
    """The example that was built from an item: the one that contains its sentence."""
    (found,) = [
        e
        for e in examples
        if any(t.get("sentence") == item["sentence"] for t in images_of(e)[0]["texts"])
        and images_of(e)[0]["modality"] == item["modality"]
    ]
    return found


def with_several(items, grounded=False):
    """A training item with three images. With `grounded`, its second image is grounded."""
    return next(
        i
        for i in items
        if i["split"] == "train"
        and len(i["images"]) == 3
        and (i["images"][1]["entry"] or not grounded)
    )
