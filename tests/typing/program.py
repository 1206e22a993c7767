"""An ordinary program, in which a type checker must find nothing."""

import minidl
import minidl.nn as nn
import minidl.nn.functional as F
from minidl.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(2, width)
        self.out = nn.Linear(width, 2)

    def forward(self, x: minidl.Tensor) -> minidl.Tensor:
        return self.out(F.relu(self.hidden(x)))


def train(steps: int, lr: float) -> float:
    minidl.manual_seed(0)
    x = minidl.rand(64, 2) * 2 - 1
    label = (x[:, 0] * x[:, 1] > 0).long()
    net = Net(8)
    optimizer = minidl.optim.SGD(net.parameters(), lr=lr, momentum=0.9, weight_decay=1e-4)
    loss = minidl.zeros(())
    for _ in range(steps):
        for batch, target in DataLoader(TensorDataset(x, label), batch_size=16, shuffle=True):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(batch), target)
            loss.backward()
            optimizer.step()
    with minidl.no_grad():
        right = (net(x).argmax(1) == label).float().mean()
    values, places = x.max(0)
    print(loss.item(), right.item(), values.shape, places.tolist(), x.std().log_().exp().numpy())
    return right.item()


train(2, 0.1)
