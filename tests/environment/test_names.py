"""Names as an ERP writes them, and what they are called where files are named by them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.storage.policies import load_policy, save_policy
from departments.named_policies import parse_policy
from departments.policies.policy import PolicyConfig, Snapshot
from environment import load_firm
from environment.firm_file import parse_firm
from environment.names import fault, file_name, name_of_file

NAMES = ["00123", "FOODS_3_090", "münchen", "A/4 grün [5 l]", "..", "50% Öl", "1,5 kg", "a=b"]


@pytest.mark.parametrize("name", NAMES)
def test_a_product_and_a_point_may_be_called_what_they_are_called(name, tmp_path):
    point = {"holding_cost": 1, "backorder_cost": 9, "max_order": 50, "demand": {name: 2}}
    firm = parse_firm({"name": "shop", "products": [name], "stock_points": {name: point}})
    assert (firm.names, firm.products) == ((name,), (name,))
    (tmp_path / "firm.yaml").write_text(firm.to_yaml())
    assert load_firm(tmp_path / "firm.yaml") == firm
    levels = parse_policy(f"base-stock:{name}/{name}=7", firm).levels if "," not in name else np.array([[7.0]])
    assert levels.tolist() == [[7.0]]


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_is_kept_under_any_name(name, tmp_path):
    kept = Snapshot(name, 3, PolicyConfig(), np.zeros(4, dtype=np.float32))
    place = save_policy(tmp_path / "policies", kept, {})
    assert place.parent.parent == tmp_path / "policies"
    assert load_policy(tmp_path / "policies", name, 3).department == name


@given(st.text(max_size=100))
def test_names_of_files_lead_back_and_stay_in_their_folder(name):
    written = file_name(name)
    assert name_of_file(written) == name
    assert not set(written) & set('/\\.\0\n :*?"<>|')
    assert fault(name) or 0 < len(written.encode()) <= 240
