"""What one calls to study gradients: grad, gradcheck, operations of one's own, anomaly mode."""

from ..tensor import detect_anomaly, enable_grad, no_grad, set_grad_enabled
from .function import Function
from .functional import grad

__all__ = ["Function", "detect_anomaly", "enable_grad", "grad", "no_grad", "set_grad_enabled"]
