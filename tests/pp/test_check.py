import ml_collections
import pytest

from big_rad.pp import check


@pytest.mark.parametrize(
    ("pp", "field"),
    [
        ("resize(56)", "image.size"),
        ("normalize('min_max')", "image.normalize"),
        ("tok('other.model')", "tokenizer.path"),
        ("ground('boxes', codec='paligemma')", "codec.name"),
        ("ground(grid=224)", "codec.grid"),
    ],
)
def test_preprocessing_that_differs_from_the_config_is_refused(pp, field):
    config = ml_collections.ConfigDict(
        dict(
            image=dict(size=112, normalize="medgemma"),
            tokenizer=dict(path="tiny"),
            codec=dict(name="radgrounder", grid=56),
        )
    )
    good = "load|normalize('medgemma')|resize(112)|ground('boxes', grid=56)|tok(length=8)"
    check.check_pp(config, "config.input.a.pp", good)
    with pytest.raises(ValueError, match=f"config.input.a.pp: .*config.{field} is"):
        check.check_pp(config, "config.input.a.pp", f"load|{pp}")
