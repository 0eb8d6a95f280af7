"""The coded words that results are written in.

Literals, because pydicom's keyword for a code may carry another meaning than the one meant here.
"""

from pydicom.sr import coding

SEGMENT_CATEGORY = coding.Code("49755003", "SCT", "Morphologically Abnormal Structure")
SEGMENT_TYPE = coding.Code("18115005", "SCT", "Pathologic calcification, calcified structure")
HEART = coding.Code("80891009", "SCT", "Heart")
CORONARY_ARTERY = coding.Code("41801008", "SCT", "Coronary artery")
ARTIFICIAL_INTELLIGENCE = coding.Code("123110", "DCM", "Artificial Intelligence")
