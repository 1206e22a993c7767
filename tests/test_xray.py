"""kernels.xray: a kernel's Python, LLVM's code and assembly, with vectors and fused multiply-adds counted."""

import re

import numba
import numpy as np
import pytest

from minidl import kernels
from minidl.kernels import cache, ctc, gemm, inspection, jit, layout
from minidl.kernels.tile import VECTOR_BYTES

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="there is no machine code")


@pytest.fixture(scope="module")
def product():
    a = np.ones((3, 4), np.float32)
    kernels.matmul(a, a.T)  # from the cache, or compiled
    code = dict(gemm._product), dict(gemm.product.overloads)
    found = kernels.xray("gemm.product")
    assert (dict(gemm._product), dict(gemm.product.overloads)) == code  # the one in use is the same as before
    np.testing.assert_array_equal(kernels.matmul(a, a.T), a @ a.T)
    return found


def test_the_product_of_matrices_multiplies_and_adds_whole_vectors(product):
    assert product.widest == 8 * VECTOR_BYTES
    if VECTOR_BYTES > 16:  # AVX2 or wider has fused multiply-adds
        register = {512: "zmm", 256: "ymm"}[product.widest]
        lines = [line for line in product.assembly.splitlines() if re.search(r"\bvfn?m(add|sub)", line)]
        assert product.fused == len(lines) > 10
        assert product.fused_vectors == sum("ps\t" in line for line in lines) > 10
        assert product.registers[register] >= product.fused_vectors // 2
    assert product.instructions > 1000 and "<" in product.llvm and "Inspection disabled" not in product.assembly


def test_the_text_says_what_is_there(product):
    assert product.place.startswith("kernels/gemm.py:") and product.source.startswith(
        "@jit\ndef product(a, b, bias, c, offsets"
    )
    assert [name for name, _ in product.twins] == ["moved", "tile"] and "np.einsum" in dict(product.twins)["tile"]
    text = str(product)
    assert text.splitlines()[0] == f"gemm.product, {product.place}"
    assert f"widest {product.widest} bits" in text and f"fused multiply-adds {product.fused:,}" in text
    assert f"compiled in {product.seconds:.1f} s" in text and 0 < product.seconds < 600
    assert repr(product) == f"<Xray of gemm.product: widest {product.widest} bits, {product.fused} fused multiply-adds>"


def test_the_page_has_all_three_side_by_side(product, tmp_path):
    text = product.save(tmp_path / "out" / "x.html").read_text(encoding="utf-8")
    assert re.findall("<h2>(.*?)</h2>", text) == ["Python", "LLVM", "assembly"] and product._repr_html_() in text
    assert "# tile, in Python to be read\ndef tile(" in text and "&lt;" in text and "http" not in text.replace("http-equiv", "")
    assert len(re.findall('id="minidl-fma"', text)) == (1 if product.fused else 0)
    with pytest.raises(ValueError, match=r"expected a name that ends in \.html"):
        product.save(tmp_path / "x.txt")


def test_code_that_comes_from_the_cache_can_be_read_all_the_same(monkeypatch):
    if cache.FOLDER is None:
        pytest.skip("there is no cache")
    layout._zero[np.dtype(np.float32)]  # compiled and kept, or loaded
    types = layout._zero.signature(numba.float32)
    loaded = jit._make(layout.zero.__wrapped__, layout.zero._options)
    loaded.compile(types)
    with pytest.warns(UserWarning, match="Inspection disabled"):
        loaded.inspect_asm(types)
    monkeypatch.setattr(layout.zero, "_made", [loaded])
    found = kernels.xray("layout.zero")
    assert found.instructions > 10 and "Inspection disabled" not in found.assembly + found.llvm
    assert layout.zero._made == [loaded] and len(loaded.overloads) == 1


def test_what_is_counted():
    text = """
    # vfmadd231ps %zmm1
        .section zmm
    label:
        vfmadd231ps  %zmm1, %zmm2, %zmm3   # xmm
        vfnmsub132sd %xmm1, %xmm2, %xmm3
        vfmaddsub213pd (%rax), %ymm2, %ymm3
        vaddps %ymm1, %ymm2, %ymm3
        fmla v0.4s, v1.4s, v2.4s
        fmadd s0, s1, s2, s3
        ret
    """
    assert inspection.count(text) == {
        "instructions": 7, "registers": {"zmm": 1, "ymm": 2, "xmm": 1}, "fused": 5, "fused_vectors": 3,
    }  # fmt: skip


def test_kernels_by_name_type_and_signature():
    names = kernels.xray()
    assert len(names) == len(set(names)) > 100 and {"gemm.product", "rows.label_losses", "elementwise.relu"} <= set(names)
    double = kernels.xray("elementwise.squares", dtype=np.float64)
    assert "array(float64, 1d, C)" in str(double) and double.source.endswith("return total")
    relu = kernels.xray("elementwise.relu")
    assert relu.source.startswith("@scalar\ndef _relu(x):") and "def loop(x, y, a, b, part, parts):" in relu.source
    types = (numba.types.int64,) * 7
    cut = kernels.xray("gemm.cut", signature=types)
    assert cut.signature == types and cut.source.startswith("@jit\ndef cut(") and cut.fused == 0


def test_unknown_names_and_wrong_types_are_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr(ctc, "label_at", jit.jit(ctc.label_at.__wrapped__))  # which nobody has compiled yet
    cases = [
        (("gemm.produkt",), {}, ValueError, "no kernel 'gemm.produkt'; do you mean gemm.product"),
        (("product",), {}, ValueError, r"do you mean gemm.product\?"),
        (
            ("softmax",),
            {},
            ValueError,
            "do you mean rows.log_softmax_gradient or rows.log_softmax_rows or rows.softmax_gradient",
        ),
        (("zzz",), {}, ValueError, r"there is no kernel 'zzz'; kernels.xray\(\) gives all names"),
        ((3,), {}, TypeError, "expected the name of a kernel, such as 'gemm.product', got int"),
        (("gemm.product", "int64"), {}, TypeError, "dtype must be float32 or float64, got int64"),
        (("gemm.product", "f99"), {}, TypeError, "dtype must be float32 or float64, got 'f99'"),
        (("gemm.cut",), {"signature": "int64"}, TypeError, "signature must be a tuple of Numba's types, got 'int64'"),
        (("ctc.label_at",), {}, ValueError, r"only other kernels call ctc.label_at; give signature="),
    ]
    for args, options, error, message in cases:
        with pytest.raises(error, match="xray: .*" + message):
            kernels.xray(*args, **options)
