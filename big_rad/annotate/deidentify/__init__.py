"""Takes what names a patient out of headers, images and reports.

- `keys`: pseudonyms, UIDs and shifted dates, all from one secret key.
- `allowed`: the few attributes that a new image object may take from its source.
- `objects`: new CT and MR objects that hold nothing else.
- `identifiers`: what names the patient of a study, from its headers, files and manifest.
- `texts`: reports without these identifiers, and without what looks like one.
- `audit`: counts of what was done.
"""
