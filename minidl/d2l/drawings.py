"""Pictures of the book, with matplotlib, which is loaded when the first is drawn."""

from .. import utils
from ..tensors.tensor import Tensor
from ..utils.board import in_notebook

__all__ = ["Animator", "plot", "set_axes", "set_figsize", "show_heatmaps", "show_images", "show_list_len_pair_hist"]
__all__ += ["annotate", "show_trace_2d", "use_svg_display"]


def use_svg_display():
    """Pictures in a notebook as SVG; elsewhere nothing.

    >>> use_svg_display()
    """
    utils.drawing.use_svg_display()


def set_figsize(figsize=(3.5, 2.5)):
    """The size of the figures to come, in inches.

    >>> set_figsize((3.5, 2.5))
    """
    utils.drawing.set_figsize(figsize)


def set_axes(axes, xlabel, ylabel, xlim, ylim, xscale, yscale, legend):
    """Labels, limits, scales, legend and grid of a matplotlib Axes.

    >>> plt = utils.drawing.plt
    >>> set_axes(plt.figure().gca(), "x", "y", (0, 1), (0, 1), "linear", "linear", None)
    >>> plt.gca().get_xlabel()
    'x'
    >>> plt.close()
    """
    utils.drawing.set_axes(axes, xlabel, ylabel, xlim, ylim, xscale, yscale, legend)


def _one_axis(X):
    return getattr(X, "ndim", 0) == 1 or (isinstance(X, list) and not hasattr(X[0], "__len__"))


def _values(x):
    return x.detach().numpy() if isinstance(x, Tensor) else x


def plot(
    X, Y=None, xlabel=None, ylabel=None, legend=(), xlim=None, ylim=None, xscale="linear", yscale="linear",
    fmts=("-", "m--", "g-.", "r:"), figsize=(3.5, 2.5), axes=None,
):  # fmt: skip
    """Draws lines (2.4): X and Y are one line or a list of them; of X alone, its values.

    >>> x = [0.0, 1.0, 2.0]
    >>> plot(x, [[0, 1, 4], [0, 2, 4]], "x", "f(x)", legend=["f(x)", "tangent"])
    >>> len(utils.drawing.plt.gca().get_lines())
    2
    >>> utils.drawing.plt.close()
    """
    X = [X] if _one_axis(X) else X
    if Y is None:
        X, Y = [[]] * len(X), X
    elif _one_axis(Y):
        Y = [Y]
    if len(X) != len(Y):
        X = list(X) * len(Y)
    set_figsize(figsize)
    axes = utils.drawing.plt.gca() if axes is None else axes
    axes.cla()
    for x, y, fmt in zip(X, Y, fmts, strict=False):
        axes.plot(*([_values(x)] if len(x) else []), _values(y), fmt)
    set_axes(axes, xlabel, ylabel, xlim, ylim, xscale, yscale, legend)


def show_images(imgs, num_rows, num_cols, titles=None, scale=1.5):
    """Draws images in rows and columns, and gives their axes.

    >>> import minidl
    >>> len(show_images(minidl.rand(3, 8, 8), 1, 3, titles=["a", "b", "c"]))
    3
    >>> utils.drawing.plt.close()
    """
    _, axes = utils.drawing.plt.subplots(
        num_rows, num_cols, figsize=(num_cols * scale, num_rows * scale), squeeze=False, layout="constrained"
    )
    axes = axes.flatten()
    for i, (ax, img) in enumerate(zip(axes, imgs, strict=False)):
        ax.imshow(_values(img))
        ax.set(xticks=[], yticks=[])
        if titles is not None and i < len(titles):
            ax.set_title(titles[i])
    return axes


def show_heatmaps(matrices, xlabel, ylabel, titles=None, figsize=(2.5, 2.5), cmap="Reds"):
    """Draws matrices, (rows, columns, queries, keys), as heat maps with one scale of colours (11.1).

    >>> import minidl
    >>> show_heatmaps(minidl.eye(10).reshape(1, 1, 10, 10), xlabel="Keys", ylabel="Queries")
    >>> utils.drawing.plt.close()
    """
    use_svg_display()
    matrices = _values(matrices)
    rows, columns = matrices.shape[:2]
    figure, axes = utils.drawing.plt.subplots(
        rows, columns, figsize=figsize, sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for (i, j), ax in [((i, j), axes[i][j]) for i in range(rows) for j in range(columns)]:
        image = ax.imshow(matrices[i][j], cmap=cmap, vmin=matrices.min(), vmax=matrices.max())
        ax.set(xlabel=xlabel if i == rows - 1 else "", ylabel=ylabel if j == 0 else "")
        if titles:
            ax.set_title(titles[j])
    figure.colorbar(image, ax=axes, shrink=0.6)


def show_list_len_pair_hist(legend, xlabel, ylabel, xlist, ylist):
    """A histogram of the lengths of two lists of lists (10.5).

    >>> show_list_len_pair_hist(["source", "target"], "tokens", "count", [["go"], ["i", "ran"]], [["va"], ["vas", "y"]])
    >>> utils.drawing.plt.close()
    """
    set_figsize()
    axes = utils.drawing.plt.gca()
    axes.hist([[len(x) for x in xlist], [len(y) for y in ylist]], label=legend)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.legend()


def show_trace_2d(f, results):
    """The way of an optimizer over the contours of f(x1, x2), from `train_2d` (12.3).

    >>> show_trace_2d(lambda x1, x2: x1**2 + 2 * x2**2, [(-5, -2), (-3, -1)])
    >>> utils.drawing.plt.close()
    """
    set_figsize()
    plt = utils.drawing.plt
    axes = plt.gca()
    axes.plot(*zip(*results, strict=True), "-o", color="C1")
    steps = lambda low, high: [low + 0.1 * i for i in range(round((high - low) / 0.1))]  # noqa: E731
    x1, x2 = steps(-5.5, 1.0), steps(-3.0, 1.0)
    axes.contour(x1, x2, [[float(f(a, b)) for a in x1] for b in x2], colors="C0")
    axes.set(xlabel="x1", ylabel="x2")


def annotate(text, xy, xytext):
    """A text with an arrow from xytext to xy, in the picture that was drawn last (12.1).

    >>> plot([0.5, 1.0, 1.5], [[0.2, -0.9, 0.1]])
    >>> annotate("min of risk", (1.0, -0.9), (1.1, -0.5))
    >>> utils.drawing.plt.close()
    """
    utils.drawing.plt.gca().annotate(text, xy=xy, xytext=xytext, arrowprops={"arrowstyle": "->"})


class Animator:
    """Lines that grow by add(x, y), of the book's older chapters; `ProgressBoard` is the newer one.

    >>> animator = Animator("epoch", legend=["loss", "accuracy"])
    >>> animator.add(1, (0.5, 0.7))
    >>> animator.add(2, (0.4, None))
    >>> animator.X, animator.Y
    ([[1, 2], [1]], [[0.5, 0.4], [0.7]])
    >>> utils.drawing.plt.close()
    """

    def __init__(
        self, xlabel=None, ylabel=None, legend=(), xlim=None, ylim=None, xscale="linear", yscale="linear",
        fmts=("-", "m--", "g-.", "r:"), nrows=1, ncols=1, figsize=(3.5, 2.5),
    ):  # fmt: skip
        use_svg_display()
        self.fig, axes = utils.drawing.plt.subplots(nrows, ncols, figsize=figsize, squeeze=False)
        self.axes, self.fmts, self.X, self.Y = list(axes.flatten()), fmts, None, None
        self._settings = xlabel, ylabel, xlim, ylim, xscale, yscale, legend

    def add(self, x, y):
        """Adds a point to each line; None leaves a line as it is."""
        y = list(y) if hasattr(y, "__len__") else [y]
        x = list(x) if hasattr(x, "__len__") else [x] * len(y)
        if self.X is None:
            self.X, self.Y = [[] for _ in y], [[] for _ in y]
        for i, (a, b) in enumerate(zip(x, y, strict=True)):
            if a is not None and b is not None:
                self.X[i].append(a)
                self.Y[i].append(float(b))
        self.axes[0].cla()
        for xs, ys, fmt in zip(self.X, self.Y, self.fmts, strict=False):
            self.axes[0].plot(xs, ys, fmt)
        set_axes(self.axes[0], *self._settings)
        if in_notebook():
            utils.drawing.show(self.fig)
