"""Headers of received objects, in plain values: tolerant of every value, reading no pixels."""

import contextlib
import io
import math
import pathlib
import threading
import warnings
from collections.abc import Iterator, Mapping

import pydicom
from pydicom import filereader, tag, uid

from triage import domain, errors, spool, uids
from triage.dicom import file_meta, plain

CT = uid.CTImageStorage
ENHANCED_CT = (uid.EnhancedCTImageStorage, uid.LegacyConvertedEnhancedCTImageStorage)
_IMAGES = frozenset({CT, *ENHANCED_CT})
_MAY_BE_LOSSY = frozenset({uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLSNearLossless, uid.JPEG2000})
_NATIVE = frozenset({uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian})
_DATE_AND_TIME = len("YYYYMMDDHHMM")
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})

_KEYWORDS = """
SpecificCharacterSet ImageType SOPClassUID SOPInstanceUID StudyDate AcquisitionDate AcquisitionDateTime AcquisitionTime
AccessionNumber Modality StudyDescription ProcedureCodeSequence SeriesDescription PatientName PatientID PatientBirthDate
ContrastBolusAgent ContrastBolusAgentSequence ContrastBolusRoute ContrastBolusVolume BodyPartExamined SliceThickness
KVP ConvolutionKernel StudyInstanceUID
SeriesInstanceUID AcquisitionNumber InstanceNumber ImagePositionPatient ImageOrientationPatient FrameOfReferenceUID
ImagesInAcquisition NumberOfSeriesRelatedInstances NumberOfFrames SamplesPerPixel Rows Columns PixelSpacing
BitsAllocated RescaleIntercept RescaleSlope RescaleType LossyImageCompression RequestedProcedureCodeSequence
"""
_TAGS: list[tag.BaseTag | int] = [tag.Tag(keyword) for keyword in _KEYWORDS.split()]
_NAMES = frozenset(_KEYWORDS.split())

# pydicom warns, with the value in the text, about every odd one. Filters are global, so one reader at a time.
_READING = threading.Lock()


class Header:
    """Hold one object's data set up to its pixels, and whether the pixels can be whole."""

    def __init__(self, data: spool.Content | bytes) -> None:
        """Parse a DICOM file. Raises UnreadableImage if it has no data set to speak of."""
        content = data if isinstance(data, spool.Content) else spool.Content.of_file(data)
        self._pixels: int | None = None
        self._dataset: pydicom.Dataset | Mapping[str, plain.Value]
        self.transfer_syntax_uid = file_meta.transfer_syntax(content.head)
        ordinary = plain.read(content.body, self.transfer_syntax_uid, _NAMES) if content.head else None
        if ordinary is None:
            self._read(content.head + content.body)
        else:
            self._dataset, self._pixels, start = ordinary
            self._room = len(content.body) - start
        with self._quiet():
            self.sop_class_uid = self._text("SOPClassUID")
            self.sop_instance_uid = self._text("SOPInstanceUID")
            self.series_instance_uid = self._text("SeriesInstanceUID")
            self.study_instance_uid = self._text("StudyInstanceUID")

    def _read(self, data: bytes) -> None:
        """Parse what is not of the plain kind."""
        stream = io.BytesIO(data)
        with _quiet():
            try:
                self._dataset = read = filereader.read_partial(stream, self._stop, specific_tags=_TAGS)
            except Exception as exc:  # pydicom raises whatever its parser stumbles over
                raise errors.UnreadableImage(f"no DICOM data set: {type(exc).__name__}") from exc
            self.transfer_syntax_uid = str(read.file_meta.get("TransferSyntaxUID", ""))[:64]
        self._room = len(data) - stream.tell()

    def _quiet(self) -> contextlib.AbstractContextManager[None]:
        return _quiet() if isinstance(self._dataset, pydicom.Dataset) else contextlib.nullcontext()

    def check_uids(self) -> None:
        """Raise InvalidUid where a UID that names a file or a row is missing or malformed."""
        for read in (self.sop_class_uid, self.sop_instance_uid, self.series_instance_uid, self.study_instance_uid):
            uids.check(read)

    def instance(self, stored: spool.Stored, kind: domain.InstanceKind | None = None) -> domain.Instance:
        """Describe the object that lies at `stored`; `kind` is judged from the header unless given."""
        with self._quiet():
            orientation = self._numbers("ImageOrientationPatient", 6)
            position = self._numbers("ImagePositionPatient", 3)
            spacing = self._numbers("PixelSpacing", 2)
            return domain.Instance(
                sop_instance_uid=self.sop_instance_uid,
                series_instance_uid=self.series_instance_uid,
                study_instance_uid=self.study_instance_uid,
                sop_class_uid=self.sop_class_uid,
                transfer_syntax_uid=self.transfer_syntax_uid,
                path=stored.path,
                size=stored.size,
                sha256=stored.sha256,
                kind=kind or self._kind(),
                patient_id=self._text("PatientID"),
                patient_name=self._text("PatientName"),
                patient_birth_date=self._text("PatientBirthDate"),
                accession_number=self._text("AccessionNumber"),
                study_date=self._text("StudyDate"),
                study_description=self._text("StudyDescription"),
                series_description=self._text("SeriesDescription"),
                body_part=self._text("BodyPartExamined"),
                procedure_codes=self._codes("ProcedureCodeSequence") + self._codes("RequestedProcedureCodeSequence"),
                modality=self._text("Modality")[:16],  # PS3.5: a code string has no more
                image_type=self._texts("ImageType"),
                instance_number=self._integer("InstanceNumber"),
                declared_images=self._integer("NumberOfSeriesRelatedInstances") or self._integer("ImagesInAcquisition"),
                rows=self._integer("Rows"),
                columns=self._integer("Columns"),
                pixel_spacing=(spacing[0], spacing[1]) if spacing else None,
                position=(position[0], position[1], position[2]) if position else None,
                orientation=(*orientation[:5], orientation[5]) if orientation else None,  # type: ignore[arg-type]
                thickness=self._number("SliceThickness"),
                kvp=self._number("KVP"),
                kernel="\\".join(self._texts("ConvolutionKernel")) or None,
                contrast_agent=self._contrast(),
                lossy=self._lossy(),
                rescale_present=None not in (self._number("RescaleSlope"), self._number("RescaleIntercept")),
                rescale_type=self._text("RescaleType") or None,
                frame_of_reference_uid=self._text("FrameOfReferenceUID"),
                acquisition=self._acquisition(),
            )

    def _stop(self, element: tag.BaseTag, vr: str | None, length: int) -> bool:
        if element in _PIXELS:
            self._pixels = length
        return element in _PIXELS

    def _kind(self) -> domain.InstanceKind:
        if self.sop_class_uid not in _IMAGES:
            return domain.InstanceKind.OTHER
        return domain.InstanceKind.IMAGE if self._whole() else domain.InstanceKind.UNREADABLE

    def _whole(self) -> bool:
        """Say whether pixels are there and, where not compressed, as many as rows and columns promise."""
        if not self._pixels:
            return False
        if self.transfer_syntax_uid not in _NATIVE:
            return True
        counts = [self._integer(name) for name in ("Rows", "Columns", "BitsAllocated")]
        needed = (self._integer("SamplesPerPixel") or 1) * (self._integer("NumberOfFrames") or 1)
        for count in counts:
            needed *= count or 0
        # Where the data set is deflated, the room in the file says nothing; inflating has checked its end.
        deflated = self.transfer_syntax_uid == uid.DeflatedExplicitVRLittleEndian
        there = self._pixels if deflated else min(self._pixels, self._room)
        return 0 < needed <= 8 * there

    def _contrast(self) -> str | None:
        agent = self._text("ContrastBolusAgent")
        if not agent and self._value("ContrastBolusAgentSequence"):
            return "named in a sequence"
        if not agent and self._number("ContrastBolusVolume"):
            return "volume stated"
        return agent or self._text("ContrastBolusRoute") or None

    def _lossy(self) -> bool:
        # JPEG 2000 and JPEG-LS also have syntaxes that are always lossless: these two may not be.
        return self._text("LossyImageCompression") == "01" or self.transfer_syntax_uid in _MAY_BE_LOSSY

    def _acquisition(self) -> str:
        moment = self._text("AcquisitionDateTime")
        if len(moment) < _DATE_AND_TIME:
            moment = self._text("AcquisitionDate") + self._text("AcquisitionTime")
        # A number alone starts at 1 in every study, and a date alone is that of every scan of the day.
        return f"{self._text('AcquisitionNumber')}|{moment}" if len(moment) >= _DATE_AND_TIME else ""

    def _value(self, keyword: str) -> object:
        with contextlib.suppress(Exception):
            return self._dataset.get(keyword)
        return None

    def _text(self, keyword: str) -> str:
        texts = self._texts(keyword)
        return "\\".join(texts)

    def _texts(self, keyword: str) -> tuple[str, ...]:
        value = self._value(keyword)
        if value is None:
            return ()
        values = value if isinstance(value, (pydicom.multival.MultiValue, list)) else [value]
        with contextlib.suppress(Exception):
            return tuple(str(part).replace("\0", "").strip() for part in values)
        return ()

    def _numbers(self, keyword: str, count: int) -> tuple[float, ...] | None:
        with contextlib.suppress(ValueError):
            numbers = tuple(float(text) for text in self._texts(keyword))
            if len(numbers) == count and all(map(math.isfinite, numbers)):
                return numbers
        return None

    def _number(self, keyword: str) -> float | None:
        numbers = self._numbers(keyword, 1)
        return numbers[0] if numbers else None

    def _integer(self, keyword: str) -> int | None:
        number = self._number(keyword)
        return int(number) if number is not None and number.is_integer() and abs(number) < 2**31 else None

    def _codes(self, keyword: str) -> tuple[str, ...]:
        items = self._value(keyword)
        with contextlib.suppress(Exception):
            return tuple(str(item.get("CodeValue", "")).strip() for item in items or ())  # type: ignore[attr-defined]
        return ()


def read_instance(source: pathlib.Path | bytes, stored: spool.Stored) -> domain.Instance:
    """Describe an object of the spool; one that cannot be read is UNREADABLE, with the UIDs its path names."""
    data = source if isinstance(source, bytes) else source.read_bytes()
    aside = domain.InstanceKind.ASIDE if spool.is_aside(stored.path) else None
    with contextlib.suppress(errors.UnreadableImage, errors.InvalidUid):
        header = Header(data)
        header.check_uids()
        return header.instance(stored, aside)
    return unreadable(stored)


def unreadable(stored: spool.Stored) -> domain.Instance:
    """Describe an object by its place in the spool alone. Raises InvalidUid for a path of no place."""
    place = spool.place_of(stored.path)
    return domain.Instance(
        sop_instance_uid=place.sop_uid,
        series_instance_uid=place.series_uid,
        study_instance_uid=place.study_uid,
        sop_class_uid="",
        transfer_syntax_uid="",
        path=stored.path,
        size=stored.size,
        sha256=stored.sha256,
        kind=domain.InstanceKind.ASIDE if spool.is_aside(stored.path) else domain.InstanceKind.UNREADABLE,
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with _READING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
