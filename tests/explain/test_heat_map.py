import numpy as np

from bottleneck.explain.maps.heat_map import HeatMap


def test_the_text_of_a_heat_map_holds_no_array():
    made = HeatMap(np.zeros((7, 9), np.float32), "benign", "occlusion", -0.25)
    assert repr(made) == "<HeatMap benign: 7 × 9, occlusion, decision -0.25>"
