import pytest

from big_rad.models import counts


@pytest.mark.parametrize(
    "name, device",
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("NVIDIA L4", "l4"),
        ("NVIDIA GeForce RTX 4090", "4090"),
    ],
)
def test_a_device_is_found_by_the_name_that_jax_gives_it(name, device):
    assert counts.find_device(name) is counts.DEVICES[device]


@pytest.mark.parametrize(
    "name", ["cpu", "", "NVIDIA L40S", "NVIDIA GH200 480GB", "NVIDIA H100 PCIe", "NVIDIA H100 NVL",
             "NVIDIA GeForce RTX 4090 Laptop GPU"]
)  # fmt: skip
def test_of_a_device_with_a_like_name_and_another_speed_nothing_is_claimed(name):
    assert counts.find_device(name) is None
