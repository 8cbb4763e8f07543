"""A quantity of your own, in one file: the energy of one image, by a model of the hardware.

    foretell search --objective accuracy,tutorials/energy.py:energy
    foretell search --constraint "tutorials/energy.py:energy<=30" --trials 4

A quantity is a name, a unit, the direction that is better, what must be done before it can be
measured, and a function. A network only has to be built to know its energy, so what costs too much
is never trained.
"""

from foretell import Quantity
from foretell.cost import count
from foretell.quantities import Stage, Subject

MULTIPLY_ADD, FETCH = 4.6e-6, 640e-6
"""Microjoules of a multiply-add and of a weight from memory, 32 bits, 45 nm (Horowitz, 2014)."""


def microjoules(subject: Subject) -> dict[str, float]:
    assert subject.module is not None
    assert subject.skeleton is not None
    cost = count(subject.module, subject.skeleton.input_shape)
    compute, weights = MULTIPLY_ADD * cost.flops, FETCH * cost.params
    return {"value": compute + weights, "compute": compute, "weights": weights}


energy = Quantity(
    "energy", "uJ", "min", Stage.BUILT, measure=microjoules, reference="Horowitz, ISSCC 2014"
)
