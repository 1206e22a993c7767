"""minidl.decomposition.PCA: row X8. Against scikit-learn's on the digits, and what must hold of any data."""

import numpy as np
import pytest

import minidl
from minidl.autograd import gradcheck
from minidl.decomposition import PCA
from minidl.utils.data import digits

NAMES = ["components_", "explained_variance_", "explained_variance_ratio_", "singular_values_", "mean_"]


def data(samples=30, features=5, seed=0):
    rng = np.random.default_rng(seed)
    return minidl.tensor(rng.normal(size=(samples, features)) @ rng.normal(size=(features, features)) + 3)


@pytest.mark.parametrize("kept", [None, 10, 0.9, 0.999, 1])
def test_it_is_scikit_learns_on_the_digits(kept):
    sklearn = pytest.importorskip("sklearn.decomposition")
    X = digits().tensors[0].double()
    ours, theirs = PCA(kept).fit(X), sklearn.PCA(kept, svd_solver="full").fit(X.numpy())
    assert ours.n_components_ == theirs.n_components_ and ours.n_features_in_ == 64 and ours.n_samples_ == len(X)
    solid = int((theirs.explained_variance_ > 1e-12).sum())  # directions without variance are arbitrary
    for name in NAMES:
        np.testing.assert_allclose(getattr(ours, name)[:solid].numpy(), getattr(theirs, name)[:solid], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(ours.transform(X).numpy()[:, :solid], theirs.transform(X.numpy())[:, :solid], atol=1e-9)
    back = ours.inverse_transform(ours.transform(X))
    np.testing.assert_allclose(back.numpy(), theirs.inverse_transform(theirs.transform(X.numpy())), atol=1e-9)


def test_directions_are_eigenvectors_of_the_covariance():
    X = data()
    pca = PCA().fit(X)
    covariance = minidl.cov(X.T) if hasattr(minidl, "cov") else minidl.tensor(np.cov(X.numpy().T))
    values = minidl.linalg.eigvalsh(covariance).flip(0)
    np.testing.assert_allclose(pca.explained_variance_.numpy(), values.numpy(), rtol=1e-9)
    np.testing.assert_allclose((covariance @ pca.components_.T).numpy(), (pca.components_.T * values).numpy(), atol=1e-9)
    np.testing.assert_allclose((pca.components_ @ pca.components_.T).numpy(), np.eye(5), atol=1e-12)
    assert pca.explained_variance_.sum().item() == pytest.approx(X.var(0).sum().item())
    assert pca.explained_variance_ratio_.sum().item() == pytest.approx(1)


def test_the_sign_is_that_of_the_largest_number():
    components = PCA().fit(data()).components_.numpy()
    assert (components[np.arange(5), np.abs(components).argmax(1)] > 0).all()
    np.testing.assert_allclose(PCA().fit(-data()).components_.numpy(), components, atol=1e-9)


@pytest.mark.parametrize(("share", "kept"), [(0.49, 1), (0.5, 2), (0.51, 2)])
def test_a_share_has_to_be_passed(share, kept):
    """As in scikit-learn: more than it, not as much."""
    assert PCA(share).fit(minidl.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])).n_components_ == kept


@pytest.mark.parametrize("kept", [0, 1, 3, 5])
def test_what_is_lost_is_the_discarded_variance(kept):
    X = data()
    pca, whole = PCA(kept).fit(X), PCA().fit(X)
    lost = ((pca.inverse_transform(pca.transform(X)) - X) ** 2).sum().item() / (len(X) - 1)
    assert lost == pytest.approx(whole.explained_variance_[kept:].sum().item(), abs=1e-9)
    assert pca.transform(X).shape == (30, kept)


def test_fewer_samples_than_features_and_other_data():
    X = data(4, 7)
    pca = PCA().fit(X)
    assert pca.n_components_ == 4 and pca.components_.shape == (4, 7)
    np.testing.assert_allclose(pca.inverse_transform(pca.transform(X)).numpy(), X.numpy(), atol=1e-9)
    assert PCA(2).fit_transform(X).equal(PCA(2).fit(X).transform(X))
    assert PCA(2).fit(X.float()).transform(X.float()).dtype == minidl.float32
    assert PCA(1).fit(minidl.ones(3, 2)).explained_variance_ratio_.isnan().all()  # no variance to explain


def test_a_transform_has_gradients_and_fit_none():
    X = data(6, 3).requires_grad_()
    pca = PCA(2).fit(X)
    assert not pca.components_.requires_grad
    assert gradcheck(lambda X: pca.transform(X), X) and gradcheck(
        lambda Z: pca.inverse_transform(Z), data(4, 2).requires_grad_()
    )


def test_a_linear_autoencoder_spans_the_same_subspace():
    """Trained with the squared error, from any start (Bourlard & Kamp 1988): the cosines of the principal angles are 1."""
    X = data(60, 4)
    X = (X - X.mean(0)) / 3
    minidl.manual_seed(0)
    down, up = (minidl.randn(*shape, dtype=minidl.float64).mul(0.3).requires_grad_() for shape in ((4, 2), (2, 4)))
    optimizer = minidl.optim.Adam([down, up], lr=0.02)
    for _ in range(1500):
        optimizer.zero_grad()
        ((X @ down @ up - X) ** 2).mean().backward()
        optimizer.step()
    q = minidl.linalg.qr(up.detach().T).Q
    cosines = minidl.linalg.svdvals(PCA(2).fit(X).components_ @ q)
    assert cosines.min().item() > 0.9999


X = data()
REFUSED = [
    (lambda: PCA(-1), ValueError, "integer of 0 or more"),
    (lambda: PCA(1.5), ValueError, "between 0 and 1"),
    (lambda: PCA(True), ValueError, "n_components"),
    (lambda: PCA("mle"), ValueError, "n_components"),
    (lambda: PCA(6).fit(X), ValueError, "n_components is 6"),
    (lambda: PCA().fit(X.numpy()), TypeError, "PCA.fit: expected a Tensor as X"),
    (lambda: PCA().fit(X[0]), ValueError, r"\(samples, features\)"),
    (lambda: PCA().fit(X.long()), ValueError, "floating-point"),
    (lambda: PCA().fit(X[:1]), ValueError, "two samples or more"),
    (lambda: PCA().fit(X * float("nan")), ValueError, "finite"),
    (lambda: PCA().transform(X), RuntimeError, "call fit"),
    (lambda: PCA().fit(X).transform(X[:, :2]), ValueError, "expected 5 columns"),
    (lambda: PCA(2).fit(X).inverse_transform(X), ValueError, "expected 2 columns"),
    (lambda: PCA().fit(X).transform(X.float()), TypeError, "as in fit"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_what_is_wrong_is_said(call, error, message):
    with pytest.raises(error, match=message):
        call()
