"""Ten mistakes of users. A type checker must find at least eight of them; each stands on a line marked `mistake`."""

import minidl
import minidl.nn as nn
import minidl.nn.functional as F

x = minidl.rand(4, 2)
x.revers()  # mistake: no such method
minidl.zeroes(2, 3)  # mistake: no such function
nn.Liner(2, 3)  # mistake: no such layer
F.rellu(x)  # mistake: no such function
minidl.rand("4", 2)  # mistake: a size that is text
x.exp(2.0)  # mistake: an argument too many
minidl.optim.SGD(nn.Linear(2, 2).parameters(), lr="fast")  # mistake: a rate that is text
nn.Linear(2, 3, bais=False)  # mistake: a wrong keyword
x.reshape("2", 4)  # mistake: a size that is text
minidl.manual_seed("now")  # mistake: a seed that is text
