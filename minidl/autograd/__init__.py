"""What one calls to study gradients: grad, gradcheck, operations of one's own, anomaly mode."""

from ..graph.anomaly import detect_anomaly
from ..graph.modes import enable_grad, inference_mode, no_grad, set_grad_enabled
from . import functional
from .differences import GradcheckError
from .function import Function
from .functional import grad
from .gradcheck import gradcheck, gradgradcheck
from .habits import Variable, backward, is_anomaly_enabled, set_detect_anomaly

__all__ = [
    "Function",
    "GradcheckError",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "is_anomaly_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]
