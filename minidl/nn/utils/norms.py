"""weight_norm and spectral_norm as they were before parametrizations: a hook computes the weight before each forward.

PyTorch keeps these for old programs and files: the parameters are weight_g and weight_v, or weight_orig.
"""

from ...graph.modes import no_grad
from .. import functional as F
from ..module import Module
from ..parameter import Parameter
from .parametrizations import dim_of, lengths, rows_of

__all__ = ["remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"]


def weight_norm(module, name="weight", dim=0):
    """Makes a weight g·v/‖v‖, of the parameters <name>_g and <name>_v; new programs use parametrizations.weight_norm.

    >>> import minidl
    >>> [name for name, _ in weight_norm(minidl.nn.Linear(4, 3)).named_parameters()]
    ['bias', 'weight_g', 'weight_v']
    """
    weight = _taken("weight_norm", module, name)
    g, v = Parameter(lengths(weight.detach(), dim)), Parameter(weight.detach())
    delattr(module, name)
    module.register_parameter(f"{name}_g", g)
    module.register_parameter(f"{name}_v", v)

    def compute(module, inputs=None):
        v = getattr(module, f"{name}_v")
        object.__setattr__(module, name, v * (getattr(module, f"{name}_g") / lengths(v, dim)))

    return _hooked("weight_norm", module, name, compute)


def spectral_norm(module, name="weight", n_power_iterations=1, eps=1e-12, dim=None):
    """Divides a weight by its largest singular value; new programs use parametrizations.spectral_norm.

    >>> import minidl
    >>> list(spectral_norm(minidl.nn.Linear(4, 3)).state_dict())
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    weight = _taken("spectral_norm", module, name)
    if type(n_power_iterations) is not int or n_power_iterations < 1:
        raise ValueError(f"spectral_norm: n_power_iterations must be 1 or more, got {n_power_iterations!r}")
    dim = dim_of(module, dim)
    matrix = rows_of(weight.detach(), dim)
    u, v = (F.normalize(matrix.new_zeros(n).normal_(0, 1), dim=0, eps=eps) for n in matrix.shape)
    delattr(module, name)
    module.register_parameter(f"{name}_orig", weight)
    module.register_buffer(f"{name}_u", u)
    module.register_buffer(f"{name}_v", v)

    def compute(module, inputs=None):
        weight, u, v = (getattr(module, f"{name}_{part}") for part in ("orig", "u", "v"))
        matrix = rows_of(weight, dim)
        if module.training and inputs is not None:
            with no_grad():
                for _ in range(n_power_iterations):
                    v.copy_(F.normalize(matrix.detach().T.mv(u), dim=0, eps=eps))
                    u.copy_(F.normalize(matrix.detach().mv(v), dim=0, eps=eps))
        u, v = u.clone(), v.clone()  # the next call changes the vectors in place
        object.__setattr__(module, name, weight / u.dot(matrix.mv(v)))

    return _hooked("spectral_norm", module, name, compute)


def remove_weight_norm(module, name="weight"):
    """Makes the weight a parameter again, with its present value.

    >>> import minidl
    >>> layer = remove_weight_norm(weight_norm(minidl.nn.Linear(4, 3)))
    >>> [name for name, _ in layer.named_parameters()]
    ['bias', 'weight']
    """
    return _removed("weight_norm", module, name, ("g", "v"))


def remove_spectral_norm(module, name="weight"):
    """Makes the weight a parameter again, with its present value.

    >>> import minidl
    >>> layer = remove_spectral_norm(spectral_norm(minidl.nn.Linear(4, 3)))
    >>> [name for name, _ in layer.named_parameters()]
    ['bias', 'weight']
    """
    return _removed("spectral_norm", module, name, ("orig", "u", "v"))


def _taken(kind, module, name):
    if not isinstance(module, Module) or not isinstance(vars(module).get(name), Parameter):
        raise ValueError(f"{kind}: expected a Module with a parameter {name!r}, got {type(module).__name__}")
    return vars(module)[name]


def _hooked(kind, module, name, compute):
    handles = vars(module).setdefault("_norm_hooks", {})
    handles[kind, name] = module.register_forward_pre_hook(compute), compute
    compute(module)
    return module


def _removed(kind, module, name, parts):
    handles = vars(module).get("_norm_hooks", {}) if isinstance(module, Module) else {}
    if (kind, name) not in handles:
        raise ValueError(f"remove_{kind}: {type(module).__name__} has no {kind} of {name!r}")
    handle, compute = handles.pop((kind, name))
    with no_grad():
        compute(module)
    value = Parameter(vars(module)[name].detach())
    handle.remove()
    delattr(module, name)
    for part in parts:
        delattr(module, f"{name}_{part}")
    module.register_parameter(name, value)
    return module
