"""The business that service and worker share: studies, rules, storage, DICOM adapters."""
