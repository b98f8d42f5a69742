"""DICOM headers with identifiers planted wherever they hide."""

import numpy as np
import pydicom
from pydicom import uid

WORDS = [f"CANARY{k:02d}" for k in range(1, 41)]
# Attributes of the header itself that hold a canary each.
PLANTED = """
    PatientName PatientID OtherPatientNames PatientBirthName PatientMotherBirthName PatientAddress
    PatientComments AccessionNumber StudyID StudyDescription SeriesDescription ProtocolName
    InstitutionName InstitutionAddress InstitutionalDepartmentName StationName DeviceSerialNumber
    ReferringPhysicianName PerformingPhysicianName OperatorsName NameOfPhysiciansReadingStudy
    ImageComments AdditionalPatientHistory RequestingPhysician CurrentPatientLocation Occupation
    MedicalRecordLocator ContrastBolusAgent ManufacturerModelName
""".split()


def header(**fields):
    """A CT header in which each of `WORDS` is planted once, and the words by their place."""
    ds = pydicom.Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = uid.CTImageStorage, "1.2.840.99.1"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.840.99.2", "1.2.840.99.3"
    ds.FrameOfReferenceUID = "1.2.840.99.4"
    ds.Modality, ds.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]
    ds.BodyPartExamined, ds.KVP, ds.SliceThickness = "ABDOMEN", "120", "5"
    ds.PatientPosition, ds.StudyDate, ds.PatientBirthDate = "HFS", "20210403", "19650817"
    ds.WindowCenter, ds.WindowWidth, ds.SamplesPerPixel = "40", "400", 1
    ds.Rows, ds.Columns = 4, 5
    words = iter(WORDS)
    where = {}
    for keyword in PLANTED:
        where[keyword] = next(words)
        value = where[keyword]
        setattr(ds, keyword, [value] if keyword in ("OtherPatientNames",) else value)
    _nested(ds, words, where)
    for keyword, value in fields.items():
        setattr(ds, keyword, value)
    return ds, where


def _nested(ds, words, where):
    item, inner = pydicom.Dataset(), pydicom.Dataset()
    where["nested"] = item.RequestedProcedureDescription = next(words)
    where["nested twice"] = inner.CodeMeaning = next(words)
    item.RequestedProcedureCodeSequence = [inner]
    ds.RequestAttributesSequence = [item]
    other = pydicom.Dataset()
    where["nested patient"] = other.PatientID = next(words)
    ds.OtherPatientIDsSequence = [other]
    block = ds.private_block(0x0099, "TEST MAKER", create=True)
    where["private"] = value = next(words)
    block.add_new(0x01, "LO", value)
    secret = pydicom.Dataset()
    where["private sequence"] = secret.PatientName = next(words)
    block.add_new(0x02, "SQ", [secret])
    where["private bytes"] = value = next(words)
    block.add_new(0x03, "UN", value.encode())
    where["overlay comment"] = value = next(words)
    ds.add_new(0x60004000, "LT", value)
    ds.add_new(0x60000022, "LO", value)
    ds.add_new(0x60003000, "OW", np.frombuffer(value.encode(), np.uint8).tobytes())
    icon = pydicom.Dataset()
    where["icon"] = value = next(words)
    icon.Rows = icon.Columns = 2
    icon.add_new("PixelData", "OB", value.encode())
    ds.IconImageSequence = [icon]
    where["graphic text"] = next(words)
    text, annotation = pydicom.Dataset(), pydicom.Dataset()
    text.UnformattedTextValue = where["graphic text"]
    annotation.TextObjectSequence = [text]
    ds.GraphicAnnotationSequence = [annotation]
    where["digital trail"] = next(words)
    original = pydicom.Dataset()
    changed = pydicom.Dataset()
    changed.PatientID = where["digital trail"]
    original.ModifiedAttributesSequence = [changed]
    ds.OriginalAttributesSequence = [original]
