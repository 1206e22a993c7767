"""What the derivative of a derivative is good for: Newton's method, a gradient penalty, and a pendulum found from its equation.

1. Newton's method on Rosenbrock's valley, f(x, y) = 100 (y - x²)² + (1 - x)². Gradient descent follows -∇f: it falls to the
   floor of the valley and then creeps, because the step that the steep walls allow is tiny for the flat floor. Newton's method
   solves H d = -∇f with the Hessian H, which knows both curvatures (a step is halved until f falls).
   Target: Newton is within 1e-6 of the lowest point (1, 1) after at most 40 steps; gradient descent, after 1000 steps, is not
   within 0.1.
2. A critic learns to tell two clouds of points apart: high values for one, low for the other (the WGAN of Arjovsky et al.,
   2017). Nothing keeps it from becoming ever steeper. A penalty on the length of its gradient does: 10 (‖∇D(x)‖ - 1)² at
   points between the clouds (Gulrajani et al., 2017), whose own gradient is a second derivative. The clouds are 3.16 apart, so
   that the best constant length s, of -3.16 s + 10 (s - 1)², is 1.158.
   Target: at new points between the clouds the mean length is 1.158 ± 0.05 with the penalty, and above 5 without.
3. A pendulum, u″ + sin u = 0, let go at an angle of 2 (115°). A network u(t) never sees a solution: it learns to make
   (u″ + sin u)² small at 100 times, with u″ by differentiating it twice (a physics-informed network: Raissi et al., 2019). The
   start is built in, u(t) = 2 + 2 tanh²(t) network(t), and a time counts for little until the times before it are learned
   (Wang et al., 2022): otherwise most networks end in another motion, which breaks the equation for a short time only.
   Target: it stays within 0.02 of a numerical solution (Runge and Kutta's) for 6 seconds, three quarters of a swing.

A quarter of a minute.
"""

import argparse
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm
from tqdm import tqdm

import minidl
import minidl.nn as nn
from minidl import viz
from minidl.autograd import grad
from minidl.func import grad as gradient_of, hessian
from minidl.optim import Adam
from minidl.optim.lr_scheduler import CosineAnnealingLR

BLUE, RED = "tab:blue", "tab:red"
RATE = 4e-4  # of gradient descent: about one over the largest curvature where it begins
CLOUDS, SPREAD, PENALTY = ((-1.5, -0.5), (1.5, 0.5)), 0.4, 10
LENGTH = 1 + np.linalg.norm(np.subtract(*CLOUDS)) / (2 * PENALTY)  # where -distance·s + PENALTY·(s - 1)² is lowest
ANGLE, SECONDS, TIMES, CAUSAL = 2.0, 6.0, 100, 5


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="for the start in the valley, the points and the weights")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="a few steps of each, and no target to meet: shows that it runs")
    options = parser.parse_args()
    if options.out.is_file():
        parser.error("expected --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    few = (lambda steps: steps // 100) if options.quick else (lambda steps: steps)

    minidl.manual_seed(options.seed)
    paths = valley(few(1000))
    critics = {
        name: train_critic(name, penalty, few(600)) for name, penalty in (("without a penalty", 0), ("with a penalty", PENALTY))
    }
    swing = train_pendulum(few(2000))

    found = [np.linalg.norm(path[-1] - 1) for path in paths]
    lengths = [slopes(critic, between(1000)).mean().item() for critic in critics.values()]
    times = np.linspace(0, SECONDS, 601)
    exact, learned = numerical(times), swing(minidl.tensor(times[:, None])).detach().numpy()[:, 0]
    away = np.abs(exact - learned).max()
    print(f"Newton:           {len(paths[0]) - 1:4} steps, {found[0]:.1e} from the lowest point")
    print(f"gradient descent: {len(paths[1]) - 1:4} steps, {found[1]:.1e} from the lowest point")
    print(f"critic: mean length of its gradient between the clouds {lengths[0]:.2f}, with the penalty {lengths[1]:.2f}")
    print(f"pendulum: at most {away:.4f} from the numerical solution")
    picture(options.out / "second_order.png", paths, critics, lengths, times, exact, learned)
    viz.report(picture=options.out / "second_order.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'second_order.png'}")
    if not options.quick:
        check("Newton within 1e-6 after 40 steps at most", found[0] < 1e-6 and len(paths[0]) - 1 <= 40)
        check("gradient descent not within 0.1", found[1] > 0.1)
        check(f"a gradient of length {LENGTH:.3f} ± 0.05 with the penalty", abs(lengths[1] - LENGTH) < 0.05)
        check("a gradient longer than 5 without it", lengths[0] > 5)
        check("the pendulum within 0.02", away < 0.02)


def check(what, met):
    if not met:
        sys.exit(f"expected {what}")


# --- 1. Newton's method


def rosenbrock(p):
    x, y = p[0], p[1]
    return 100 * (y - x**2) ** 2 + (1 - x) ** 2


def valley(steps):
    """The two paths from the same start, each an array (steps + 1, 2)."""
    u = minidl.rand(2, dtype=minidl.float64).numpy()
    x = -1.6 + 0.6 * u[0]
    start = minidl.tensor([x, x**2 - 0.3 - u[1]], dtype=minidl.float64)
    slope, curvature = gradient_of(rosenbrock), hessian(rosenbrock)

    newton = [start]
    while len(newton) <= 100 and slope(newton[-1]).norm().item() > 1e-9:
        p = newton[-1]
        step = -minidl.tensor(np.linalg.solve(curvature(p).numpy(), slope(p).numpy()))
        while rosenbrock(p + step).item() > rosenbrock(p).item():
            step = step / 2
        newton.append(p + step)

    descent = [start]
    for _ in tqdm(range(steps), desc="gradient descent ", unit="step", disable=None):
        descent.append(descent[-1] - RATE * slope(descent[-1]))
    return np.array([p.numpy() for p in newton]), np.array([p.numpy() for p in descent])


# --- 2. a critic


def cloud(i, n):
    return minidl.tensor(CLOUDS[i]) + SPREAD * minidl.randn(n, 2)


def between(n):
    """Points on the lines from a point of the one cloud to a point of the other."""
    part = minidl.rand(n, 1)
    return part * cloud(0, n) + (1 - part) * cloud(1, n)


def slopes(critic, x, create_graph=False):
    """(n,), the length of the critic's gradient at each of the points x (n, 2)."""
    x = x.detach().requires_grad_()
    (dx,) = grad(critic(x).sum(), x, create_graph=create_graph)
    return dx.norm(dim=1)


def train_critic(name, penalty, steps):
    critic = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
    optimizer = Adam(critic.parameters(), lr=3e-3)
    bar = tqdm(range(steps), desc=f"{name:17}", unit="step", disable=None)
    for step in bar:
        loss = critic(cloud(0, 128)).mean() - critic(cloud(1, 128)).mean()
        if penalty:
            loss = loss + penalty * ((slopes(critic, between(128), create_graph=True) - 1) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            bar.set_postfix(loss=f"{loss.item():.3f}")
    return critic


# --- 3. a pendulum


class Swing(nn.Module):
    """t (n, 1) → u (n, 1), with u(0) = ANGLE and u′(0) = 0 whatever the weights are."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))

    def forward(self, t):
        return ANGLE + 2 * t.tanh() ** 2 * self.net(2 * t / SECONDS - 1)


def train_pendulum(steps):
    swing = Swing().double()
    optimizer = Adam(swing.parameters(), lr=1e-2)
    schedule = CosineAnnealingLR(optimizer, steps)
    bar = tqdm(range(steps), desc="pendulum         ", unit="step", disable=None)
    for step in bar:
        t = minidl.linspace(0, SECONDS, TIMES, dtype=minidl.float64)[:, None].requires_grad_()
        u = swing(t)
        (du,) = grad(u.sum(), t, create_graph=True)
        (ddu,) = grad(du.sum(), t, create_graph=True)
        error = (ddu + u.sin()) ** 2
        before = error.detach().cumsum(0) * SECONDS / TIMES  # the errors up to each time
        loss = ((-CAUSAL * before).exp() * error).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            bar.set_postfix(loss=f"{loss.item():.1e}")
    return swing


def numerical(times):
    """u at equally spaced times, by the classical method of Runge and Kutta."""

    def rate(state):
        return np.array([state[1], -np.sin(state[0])])

    h, state, found = times[1] - times[0], np.array([ANGLE, 0.0]), [ANGLE]
    for _ in times[1:]:
        k1 = rate(state)
        k2 = rate(state + h / 2 * k1)
        k3 = rate(state + h / 2 * k2)
        k4 = rate(state + h * k3)
        state = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        found.append(state[0])
    return np.array(found)


# --- the picture


def picture(path, paths, critics, lengths, times, exact, learned):
    figure = plt.figure(figsize=(16, 6), layout="constrained")
    rows: list = [["valley", "without a penalty", "swing"], ["valley", "with a penalty", "swing"]]
    axes = figure.subplot_mosaic(rows, width_ratios=[1, 0.9, 1])
    draw_valley(axes["valley"], *paths)
    draw_critics(figure, axes, critics, lengths)
    draw_swing(axes["swing"], times, exact, learned)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_valley(axis, newton, descent):
    x, y = np.meshgrid(np.linspace(-1.8, 1.5, 200), np.linspace(-0.8, 2.9, 200))
    axis.contour(x, y, rosenbrock((x, y)), np.geomspace(0.25, 2500, 15), cmap="Greys", linewidths=0.8, norm=LogNorm(0.05, 1000))
    axis.plot(*descent.T, color=RED, linewidth=4, label=f"gradient descent: {len(descent) - 1} steps, on its way")
    axis.plot(*newton.T, "o-", color=BLUE, markersize=5, label=f"Newton: {len(newton) - 1} steps, there")
    axis.plot(1, 1, "*", color="gold", markeredgecolor="black", markersize=18, zorder=3, label="the lowest point")
    axis.annotate("start", descent[0], descent[0] + [-0.1, -0.2], ha="right", arrowprops={"arrowstyle": "-"})
    axis.set(xlabel="x", ylabel="y", title="Rosenbrock's valley (darker lines: higher)", ylim=(-0.8, 2.9))
    axis.legend(loc="upper right")


def draw_critics(figure, axes, critics, lengths):
    x, y = np.meshgrid(np.linspace(-3, 3, 80), np.linspace(-1.9, 1.9, 60))
    points = minidl.tensor(np.stack([x, y], -1).reshape(-1, 2), dtype=minidl.float32)
    clouds = [cloud(i, 60).numpy() for i in (0, 1)]
    for (name, critic), length in zip(critics.items(), lengths, strict=True):
        axis, found = axes[name], slopes(critic, points).numpy().reshape(x.shape)
        image = axis.pcolormesh(x, y, found, cmap="RdBu_r", norm=LogNorm(0.05, 20), shading="gouraud", rasterized=True)
        for dots, value, color in zip(clouds, ("low", "high"), ("black", "white"), strict=True):
            axis.scatter(*dots.T, s=12, color=color, edgecolor="black", linewidth=0.5, label=f"{value} values wanted")
        title = f"A critic {name}: length {length:.3g} between the clouds"
        axis.set(xlim=(-3, 3), ylim=(-1.9, 1.9), xticks=[], yticks=[])
        axis.set_title(title, fontsize="medium")
        axis.legend(loc="upper left", fontsize="small", facecolor="lightgray")
    bar = figure.colorbar(image, ax=[axes[name] for name in critics], ticks=[0.1, 1, 10], format="%g", extend="both")
    bar.set_label("length of the critic's gradient (white: 1)")


def draw_swing(axis, times, exact, learned):
    axis.axhline(0, color="lightgray")
    axis.plot(times, exact, color="black", linewidth=7, alpha=0.25, label="numerical solution")
    axis.plot(times, learned, color=RED, label=f"network: at most {np.abs(exact - learned).max():.4f} away")
    axis.set(xlabel="time t", ylabel="angle u", title="A pendulum, learned from u″ + sin u = 0 alone", ylim=(-2.3, 2.9))
    axis.legend(loc="upper center")


if __name__ == "__main__":
    main()
