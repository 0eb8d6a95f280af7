"""The heavy side: Celery tasks, inference, the use cases."""

import os

# ONNX Runtime reports to its maker from its import on, unless told not to. Nothing leaves this node unasked.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
