"""`referral orders import`: a shop's file of orders."""

from pathlib import Path

import pytest

from referral.deployment import Deployment
from tests.cast import Brand, open_brand
from tests.cli.conftest import Referral, check_failed, told

RULES = [{"when": "order", "for": "person", "amount": {"basis_points": 500, "cap": 3000}}]
HEADER = "external_id,member_id,amount,currency\n"


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment, rules=RULES)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    path.write_text(HEADER + "A-1,bob,2000,CNY\nA-2,bob,3000,CNY\n", encoding="utf-8-sig")
    return path


def test_a_file_is_kept_once(referral: Referral, brand: Brand, file: Path) -> None:
    found = told(referral("orders", "import", file, "--json"))
    counts = {"orders": 2, "refunds": 0, "already": 0, "wrong": 0, "faults": []}
    assert found == {**counts, "rewards": found["rewards"], "checked_only": False}
    again = referral("orders", "import", file)
    assert again.exit_code == 0
    said = "0 orders and 0 refunds kept, 0 rewards granted; 2 had been reported before.\n"
    assert again.stdout == said


def test_check_keeps_nothing(referral: Referral, brand: Brand, file: Path) -> None:
    for _ in range(2):
        said = referral("orders", "import", file, "--check").stdout
        assert said == (
            "Nothing was kept. 2 orders and 0 refunds would be new; 0 had been reported before.\n"
        )


def test_wrong_lines_are_told_on_standard_error_and_the_rest_is_kept(
    referral: Referral, brand: Brand, file: Path
) -> None:
    file.write_text(HEADER + "A-1,bob,20.00,CNY\nA-2,bob,3000,CNY\nA-3,,1,CNY\n")
    result = referral("orders", "import", file)
    assert result.exit_code == 1
    assert "1 order and 0 refunds kept" in result.stdout
    assert "2 lines wrong." in result.stdout
    lines = [line for line in result.stderr.splitlines() if not line.endswith(" ...")]
    assert lines[0].startswith("Line 2, amount: ")
    assert "1250 for 12.50" in lines[0]
    assert lines[1].startswith("Line 4: It does not say who bought.")
    as_json = referral("orders", "import", file, "--json")
    assert as_json.exit_code == 1
    assert '"wrong": 2' in as_json.stdout


def test_a_file_that_cannot_be_read_says_what_to_do(
    referral: Referral, brand: Brand, file: Path
) -> None:
    file.write_bytes((HEADER + "张三,bob,1,CNY\n").encode("gb18030"))
    check_failed(referral("orders", "import", file), "UTF-8")
    file.write_text("number,total\n1,2\n")
    check_failed(referral("orders", "import", file), "unknown: number, total")
    assert referral("orders", "import", file.parent / "none.csv").exit_code == 2
