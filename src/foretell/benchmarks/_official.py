"""Facts of the published benchmarks: sizes, files, addresses, check sums.

Addresses and check sums are those given by the publishers.
"""

from dataclasses import dataclass

from foretell.benchmarks.download import Link

__all__ = ["OFFICIAL", "Official"]


@dataclass(frozen=True)
class Official:
    """A published benchmark.

    Args:
        name: of the benchmark, and of the importer that reads its files.
        summary: one line.
        reference: the paper.
        space: name of its search space here; empty if there is none.
        architectures: number of networks; None where that depends on the file.
        links: its files, the main one first.
    """

    name: str
    summary: str
    reference: str
    space: str
    architectures: int | None
    links: tuple[Link, ...]


def _drive(file: str, key: str, about: str = "") -> Link:
    return Link(file, f"https://drive.google.com/file/d/{key}/view", browser=True, about=about)


OFFICIAL = (
    Official(
        "nats-tss",
        "NATS-Bench, topology: accuracy, loss and time per epoch on three datasets",
        "Dong et al., NATS-Bench, TPAMI 2021",
        "nb201",
        15_625,
        (_drive("NATS-tss-v1_0-3ffb9-simple.tar", "17_saCsj_krKjlCBLOJEpNtzPXArMCqxU"),),
    ),
    Official(
        "nats-sss",
        "NATS-Bench, size: accuracy, loss and time per epoch on three datasets",
        "Dong et al., NATS-Bench, TPAMI 2021",
        "size",
        32_768,
        (_drive("NATS-sss-v1_0-50262-simple.tar", "1scOMTUwcQhAMa_IMedp9lTzwmgqHLGgA"),),
    ),
    Official(
        "nb201",
        "NAS-Bench-201: accuracy, loss and time per epoch on three datasets",
        "Dong and Yang, NAS-Bench-201, ICLR 2020",
        "nb201",
        15_625,
        (
            _drive("NAS-Bench-201-v1_1-096897.pth", "16Y0UwGisiouVRxW-W5hEtbxmcHw_0hF_"),
            _drive("NAS-Bench-201-v1_0-e61699.pth", "1SKW0Cu0u8-gb18zDpaAGi0f74UdXeGKs", "older"),
        ),
    ),
    Official(
        "nb101",
        "NAS-Bench-101: accuracy and time of three runs on CIFAR-10",
        "Ying et al., NAS-Bench-101, ICML 2019",
        "nb101",
        423_624,
        (
            Link(
                "nasbench_only108.tfrecord",
                "https://storage.googleapis.com/nasbench/nasbench_only108.tfrecord",
                sha256="4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1",
                about="108 epochs; about 499 MB",
            ),
            Link(
                "nasbench_full.tfrecord",
                "https://storage.googleapis.com/nasbench/nasbench_full.tfrecord",
                sha256="3d64db8180fb1b0207212f9032205064312b6907a3bbc81eabea10db2f5c7e9c",
                about="4, 12, 36 and 108 epochs; about 1.95 GB",
            ),
        ),
    ),
    Official(
        "transnas",
        "TransNAS-Bench-101: micro and macro networks on seven vision tasks",
        "Duan et al., TransNAS-Bench-101, CVPR 2021",
        "",
        7_352,
        (
            Link(
                "transnas-bench_v10141024.pth",
                "https://drive.google.com/drive/folders/1HlLr2ihZX_ZuV3lJX_4i7q4w-ZBdhJ6o",
                browser=True,
            ),
        ),
    ),
    Official(
        "suite-zero",
        "NAS-Bench-Suite-Zero: 13 proxies and validation accuracy, one file per search space",
        "Krishnakumar et al., NAS-Bench-Suite-Zero, NeurIPS 2022",
        "",
        None,
        (
            _drive("zc_nasbench201.json", "1R7n7GpFHAjUZpPISzbhxH0QjubnvZM5H"),
            _drive("zc_nasbench101.json", "1Rkse44EWgYdBS34iyhjSs9Y2l0fxPCpU"),
            _drive("zc_nasbench301.json", "1RddgmwqjWJ1czGT8gEPB8qqhUHazp92G"),
            _drive("zc_transbench101_micro.json", "1SBOVAyhLCBTAJiU_fo7hLRknNrGNqFk7"),
            _drive("zc_transbench101_macro.json", "1teH8JcQsamZngUD_DMQyNkCoUYYSTM0M"),
        ),
    ),
    Official(
        "nb201-robustness",
        "NAS-Bench-201 cells under adversarial attacks and corruptions",
        "Jung et al., Neural Architecture Design and Robustness: A Dataset, ICLR 2023",
        "nb201",
        6_466,
        tuple(
            Link(file, "http://data.robustness.vision/", browser=True, about=about)
            for file, about in (
                ("cifar10.zip", "unpack all that you want, and meta.zip, into one folder"),
                ("cifar100.zip", ""),
                ("ImageNet16-120.zip", ""),
                ("meta.zip", "always needed"),
            )
        ),
    ),
    Official(
        "hw-nas",
        "HW-NAS-Bench: latency and energy of NAS-Bench-201 cells on six devices",
        "Li et al., HW-NAS-Bench, ICLR 2021",
        "nb201",
        15_625,
        (
            Link(
                "HW-NAS-Bench-v1_0.pickle",
                "https://raw.githubusercontent.com/GATECH-EIC/HW-NAS-Bench/HEAD/"
                "HW-NAS-Bench-v1_0.pickle",
            ),
        ),
    ),
    Official(
        "nb-macro",
        "NAS-Bench-Macro: three accuracies on CIFAR-10, parameters, multiply-adds",
        "Su et al., Prioritized Architecture Sampling with Monto-Carlo Tree Search, CVPR 2021",
        "",
        6_561,
        (
            Link(
                "nas-bench-macro_cifar10.json",
                "https://raw.githubusercontent.com/xiusu/NAS-Bench-Macro/master/data/"
                "nas-bench-macro_cifar10.json",
            ),
        ),
    ),
)
