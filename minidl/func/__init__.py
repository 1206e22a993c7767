"""Functions of functions, as in torch.func: grad(f) is the gradient of f as a function, and can be given to grad again.

Arguments and results may be tensors, or tuples, lists, dicts and namedtuples of them, in one another.

gradients.py   grad, grad_and_value, vjp, jvp
jacobians.py   jacrev, jacfwd, hessian
slices.py      vmap
modules.py     functional_call, stack_module_state
calls.py       what a function is given when it is differentiated, and what may leave it
trees.py       tensors in tuples, lists and dicts

>>> import minidl
>>> from minidl.func import grad
>>> grad(grad(grad(lambda x: x**4)))(minidl.tensor(2.0))
tensor(48.)
"""

from .gradients import grad, grad_and_value, jvp, vjp
from .jacobians import hessian, jacfwd, jacrev
from .modules import functional_call, stack_module_state
from .slices import vmap

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "stack_module_state",
    "vjp",
    "vmap",
]
