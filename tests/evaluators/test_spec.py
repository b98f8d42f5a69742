from big_rad.evaluators import spec as specs


def test_data_key_depends_on_the_data_part_only():
    spec = dict(type="vqa", builder="x", split="test", pp="load", expand=dict(task="vqa"))
    same = {**spec, "control": "blank", "batch_size": 3, "every": 7}
    other = {**spec, "expand": dict(task="report")}
    assert specs.data_key(spec) == specs.data_key(same) != specs.data_key(other)
