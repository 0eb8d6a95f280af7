"""Labelled scans in the formats that sites have (SCIENCE.md section 3), each as a `training.labelled.LabelledScan`.

Every reader has `find`, which lists the cases of a folder without reading them. A case is read when it is asked for,
alone; what cannot be used raises `training.errors.RefusedCase`, and no other case notices.
"""
