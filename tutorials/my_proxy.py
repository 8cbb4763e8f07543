"""A zero-cost proxy of your own, in one file.

    foretell score --sample 5 --proxies tutorials/my_proxy.py:gradient_balance,synflow

A proxy is a pure function of what foretell's shared pass collected. It says what it needs; the pass
collects that once for all proxies that are asked for together.
"""

import torch

from foretell.proxies import Collected, Needs, proxies


@proxies.add("gradient_balance", needs=Needs.GRADS, reference="this tutorial")
def gradient_balance(c: Collected) -> float:
    """Minus the spread over layers of the log norm of dloss/dweight: even layers score higher."""
    norms = torch.stack([grad.norm() for grad in c.grads]).double()
    return -float(norms.log().std(correction=0))
