"""Every operation against the table: values, gradients, dtypes, layouts, purity. Then the promises about single points."""

import pytest

from .checks import CHECKS, check_float32, check_row
from .table import ABSTRACT, ROW_OF, TABLE, all_operations


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.op.__name__)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_operation(check, row):
    if check is check_float32 and not row.float32:
        pytest.skip("converts between dtypes")
    check_row(check, row)


def test_promise_05_every_operation_is_in_the_table():
    missing = {op for op in all_operations() if op not in ROW_OF and op not in ABSTRACT}
    assert not missing, f"give {missing} a row in tests/table.py"
    assert len(ROW_OF) == len(TABLE), "two rows for one operation"
