"""DICOM adapters: reading, segmentation, sending, phantom series."""
