"""What the listener accepts: SOP classes, and transfer syntaxes in its order of preference."""

from pydicom import uid
from pynetdicom import presentation, service_class, sop_class

from triage.dicom import headers

# The first of this list that the peer offers is taken (PS3.8 leaves the choice to the acceptor). Lossy ones stand
# here because a refused image is lost to the site; they end UNSUITABLE. Implicit LE is last: it names no VRs.
TRANSFER_SYNTAXES = (
    uid.ExplicitVRLittleEndian,
    uid.JPEGLSLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLossless,
    uid.JPEG2000Lossless,
    uid.RLELossless,
    uid.DeflatedExplicitVRLittleEndian,
    uid.JPEG2000,
    uid.JPEGLSNearLossless,
    uid.JPEGExtended12Bit,
    uid.JPEGBaseline8Bit,
    uid.ImplicitVRLittleEndian,
)
_VERIFICATION = "1.2.840.10008.1.1"
_PRIVATE = {
    "1.3.12.2.1107.5.9.1": "SiemensCSANonImageStorage",
    "1.2.840.113619.4.26": "GEPrivate3DModelStorage",
    "1.2.392.200036.9116.7.8.1.1.1": "ToshibaPrivateDataStorage",
}


def supported(*, refuse_non_ct: bool) -> list[presentation.PresentationContext]:
    """Return the presentation contexts to accept: verification, and CT or every storage class."""
    classes = [str(name) for name in (headers.CT, *headers.ENHANCED_CT)]
    if not refuse_non_ct:
        for number, keyword in _PRIVATE.items():
            sop_class.register_uid(number, keyword, service_class.StorageServiceClass)
        storage = [str(cx.abstract_syntax) for cx in presentation.AllStoragePresentationContexts]
        classes = [*dict.fromkeys([*classes, *storage, *_PRIVATE])]
    return [
        presentation.build_context(_VERIFICATION),
        *(presentation.build_context(name, list(TRANSFER_SYNTAXES)) for name in classes),
    ]
