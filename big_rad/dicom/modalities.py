"""Finds the modality of a DICOM file, and whether the values of a CT are in HU."""

import dataclasses

from pydicom import uid

from big_rad.dicom.fields import Fields

_CLASSES = {  # The modality by SOP class, for files without a valid Modality.
    uid.CTImageStorage: "CT",
    uid.EnhancedCTImageStorage: "CT",
    uid.LegacyConvertedEnhancedCTImageStorage: "CT",
    uid.MRImageStorage: "MR",
    uid.EnhancedMRImageStorage: "MR",
    uid.LegacyConvertedEnhancedMRImageStorage: "MR",
}
# The codes of PS3.3 C.7.3.1.1.1, retired ones included.
_CODES = frozenset(
    """
    ANN AR AS ASMT AU BDUS BI BMD CD CF CFM CP CR CS CT CTPROTOCOL DD DF DG DM DMS DOC DS DX EC
    ECG EEG EMG EOG EPS ES F FA FID FS GM HC HD IO IOL IVOCT IVUS KER KO LEN LP LS M3D MA MG MR MS
    NEARIR NM OAM OCT OP OPM OPR OPT OPTBSV OPTENF OPV OSS OT PA PLAN POS PR PT PX REG RESP RF RG
    RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV SEG SM SMR SR SRF ST STAIN
    TEXTUREMAP TG US VA VF VL XA XAPROTOCOL XC
    """.split()
)
_UNITS = {  # The values of RescaleType other than HU (PS3.3 C.11.1.1.2).
    "OD": "optical density",
    "US": "an unspecified unit",
    "HU_MOD": "modified HU",
    "MGML": "mg/ml",
    "Z_EFF": "an effective atomic number",
    "ED": "an electron density",
    "EDW": "an electron density",
    "PCT": "percent",
}


@dataclasses.dataclass(frozen=True)
class Found:
    """What a file says about its modality.

    Attributes:
        code: the code of the standard, such as "US". If the file has no valid code, it is the
            modality that the SOP class implies, or "".
        stated: "CT", "MR" or "OT" if the file has a valid code, otherwise "".
        guess: `stated`, or the likely modality if that is "".
        warnings: sentences about a code that is missing, misspelled or overridden.
    """

    code: str
    stated: str
    guess: str
    warnings: tuple[str, ...]


def find(said: str | None, sop_class: str, given: str | None) -> Found:
    """Returns the modality of a file.

    Args:
        said: the Modality in the file, or None.
        sop_class: the SOPClassUID of the file, or the one in its file meta information.
        given: the modality that the user gives, "CT", "MR" or "OT"; None if the user gives none.
    """
    warnings = []
    code = (said or "").split("\\")[0].strip().upper()
    by_class = _CLASSES.get(sop_class, "")
    if code in _CODES:
        stated = guess = code if code in ("CT", "MR") else "OT"
        if code != said:
            warnings.append(f"Modality is not written as the standard asks; it was read as {code}")
    else:
        what = "is missing" if not code else "is not a code of the standard"
        code, stated, guess = by_class, "", by_class or "OT"
        how = f"the SOP class says {guess}" if by_class else "taken for OT (neither CT nor MR)"
        if given is None:
            warnings.append(f"Modality {what}; {how}; give the modality if that is wrong")
        else:
            warnings.append(f"Modality {what}; {given} was given")
    if given is not None and stated not in ("", given):
        warnings.append(f"the modality {given} was given, though the file says {code}")
    return Found(code, stated, guess, tuple(warnings))


def other_unit(fields: Fields) -> bool:
    """Returns whether RescaleType says that the values of a CT are not HU, and warns if so."""
    said = (fields.optional("RescaleType") or "HU").upper()
    if said == "HU":
        return False
    unit = _UNITS.get(said, "another unit")  # The value is never quoted, as it may hold anything.
    fields.warn(
        f"RescaleType says that the values are {unit}, not HU; they were taken for HU, so give the "
        'modality "OT" if they are not'
    )
    return True
