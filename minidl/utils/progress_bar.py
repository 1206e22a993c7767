"""The bar of `Trainer`: tqdm's. Loaded at its first use, because tqdm is no dependency."""

from tqdm.auto import tqdm


def bar(total, done):
    """A bar over the steps of a training; none where stderr is no terminal."""
    return tqdm(total=total, initial=done, unit="step", disable=None, leave=False)
