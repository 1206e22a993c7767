"""What one calls to study gradients: grad, gradcheck, operations of one's own, anomaly mode."""

from ..graph.anomaly import detect_anomaly
from ..graph.modes import enable_grad, no_grad, set_grad_enabled
from . import functional
from .differences import GradcheckError
from .function import Function
from .functional import grad
from .gradcheck import gradcheck, gradgradcheck

__all__ = [
    "Function",
    "GradcheckError",
    "detect_anomaly",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "no_grad",
    "set_grad_enabled",
]
