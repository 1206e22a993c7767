"""Places in which a step leaves something, as two functions (get, put): attributes, variables, slots."""

import functools


def place_in(own, name):
    """(get, put) of an attribute in a `__dict__`, or a global variable."""
    return functools.partial(own.get, name), functools.partial(own.__setitem__, name)


def of_class(cls, name):
    return functools.partial(vars(cls).get, name), functools.partial(setattr, cls, name)


def of_slot(descriptor, owner):
    return functools.partial(slot_reader(descriptor), owner), functools.partial(descriptor.__set__, owner)


def of_cell(cell):
    def get():
        try:
            return cell.cell_contents
        except ValueError:  # it is deleted
            return None

    return get, functools.partial(setattr, cell, "cell_contents")


def slot_reader(descriptor):
    def get(owner):
        try:
            return descriptor.__get__(owner)
        except AttributeError:  # not set
            return None

    return get
