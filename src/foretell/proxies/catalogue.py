"""The catalogue of proxies: names and facts, without torch.

It is the only list. The functions are imported when a proxy is first used; the first line of their
docstring is the summary here. Proxies from outside register by ``proxies.add``.
"""

from foretell.proxies._base import proxies
from foretell.proxies.needs import Needs

__all__ = ["proxies"]

_ABDELFATTAH = "Abdelfattah et al., Zero-Cost Proxies for Lightweight NAS, ICLR 2021"
_LI = "Li et al., ZiCo, ICLR 2023"

proxies.register(
    "nwot",
    "foretell.proxies.activations:nwot",
    summary="Log determinant of the number of ReLU units on which two images agree.",
    needs=Needs.CODES,
    data="images",
    reference="Mellor et al., Neural Architecture Search without Training, ICML 2021",
)
proxies.register(
    "params",
    "foretell.proxies.counts:params",
    summary="Number of trainable parameters, those of dead operations included.",
    needs=Needs.COSTS,
    data="none",
    reference="White et al., NeurIPS 2021",
)
proxies.register(
    "flops",
    "foretell.proxies.counts:flops",
    summary="Multiply-adds of one image in convolutions and matrix products.",
    needs=Needs.COSTS,
    data="none",
    reference="White et al., NeurIPS 2021",
)
proxies.register(
    "live_params",
    "foretell.proxies.counts:live_params",
    summary="Number of trainable parameters on some path from input to output.",
    needs=Needs.COSTS,
    data="none",
)
proxies.register(
    "sum_log_params",
    "foretell.proxies.counts:sum_log_params",
    summary="Sum over live weight layers of the log of their number of weights.",
    needs=Needs.COSTS,
    data="none",
)
proxies.register(
    "l2_norm",
    "foretell.proxies.counts:l2_norm",
    summary="Sum over live layers of the L2 norm of the initial weights.",
    needs=Needs.WEIGHTS,
    data="none",
    reference=_ABDELFATTAH,
)
proxies.register(
    "grad_norm",
    "foretell.proxies.gradients:grad_norm",
    summary="Sum over layers of the L2 norm of dloss/dweight.",
    needs=Needs.GRADS,
    data="labels",
    reference=_ABDELFATTAH,
)
proxies.register(
    "snip",
    "foretell.proxies.gradients:snip",
    summary="Sum over all weights of |w dloss/dw|.",
    needs=Needs.WEIGHTS | Needs.GRADS,
    data="labels",
    reference=f"Lee et al., SNIP, ICLR 2019; {_ABDELFATTAH}",
)
proxies.register(
    "plain",
    "foretell.proxies.gradients:plain",
    summary="Sum over all weights of w dloss/dw, with its sign.",
    needs=Needs.WEIGHTS | Needs.GRADS,
    data="labels",
    reference=_ABDELFATTAH,
)
proxies.register(
    "fisher",
    "foretell.proxies.gradients:fisher",
    summary="Sum over weights of their channel's 1/2 mean_n (sum_hw a dloss/da)^2, a the "
    "layer's result.",
    needs=Needs.WEIGHTS | Needs.FISHER,
    data="labels",
    reference=f"Turner et al., BlockSwap, ICLR 2020; {_ABDELFATTAH}",
)
proxies.register(
    "fisher_channels",
    "foretell.proxies.gradients:fisher_channels",
    summary="Sum over channels of 1/2 mean_n (sum_hw a dloss/da)^2, a the layer's result.",
    needs=Needs.FISHER,
    data="labels",
    reference="Turner et al., BlockSwap, ICLR 2020",
)
proxies.register(
    "grasp",
    "foretell.proxies.grasp:grasp",
    summary="Minus the sum over all weights of w (H g), g the loss gradient and H its Hessian.",
    needs=Needs.GRASP,
    data="labels",
    reference="Wang et al., Picking Winning Tickets Before Training, ICLR 2020",
)
proxies.register(
    "jacov",
    "foretell.proxies.jacobian:jacov",
    summary="Minus the sum of log(v + k) + 1 / (v + k), v the eigenvalues of the images' "
    "correlation.",
    needs=Needs.JACOBIAN,
    data="images",
    reference="Mellor et al., Neural Architecture Search without Training, 2020 (first version)",
)
proxies.register(
    "epe_nas",
    "foretell.proxies.jacobian:epe_nas",
    summary="Sum over classes of |sum log(|corr| + k)| over pairs of images of the class, k "
    "= 1e-5.",
    needs=Needs.JACOBIAN,
    data="labels",
    reference="Lopes et al., EPE-NAS, ICANN 2021",
)
proxies.register(
    "synflow",
    "foretell.proxies.synflow:synflow",
    summary="Log of the sum over weights of |w dR/dw|, R the summed outputs for an image of ones.",
    needs=Needs.SYNFLOW,
    data="none",
    reference="Tanaka et al., Pruning neural networks without any data, NeurIPS 2020",
)
proxies.register(
    "logsynflow",
    "foretell.proxies.synflow:logsynflow",
    summary="Sum over weights of |w| log(1 + |dR/dw|): one large layer no longer drowns the "
    "others.",
    needs=Needs.SYNFLOW,
    data="none",
    reference="Cavagnero et al., FreeREA, WACV 2023",
)
proxies.register(
    "zen",
    "foretell.proxies.zen:zen",
    summary="Log E|f(x) - f(x + 0.01 e)|_1 + sum over batch norms of log sqrt(mean variance).",
    needs=Needs.ZEN,
    data="none",
    reference="Lin et al., Zen-NAS, ICCV 2021",
)
proxies.register(
    "zico",
    "foretell.proxies.zico:zico",
    summary="Sum over layers of log sum_w E|g| / Std|g|, over batches, as the paper writes it.",
    needs=Needs.BATCH_GRADS,
    data="labels",
    reference=f"{_LI}, equation 15",
)
proxies.register(
    "zico_code",
    "foretell.proxies.zico:zico_code",
    summary="ZiCo with the standard deviation of the signed gradients, as in the authors' code.",
    needs=Needs.BATCH_GRADS,
    data="labels",
    reference=f"{_LI}, authors' code",
)
