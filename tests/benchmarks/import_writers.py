"""Small files in the layout of each official one, written without the package's help."""

import base64
import bz2
import json
import pickle
import struct
from collections import OrderedDict

import numpy as np

# --- NATS-Bench -----------------------------------------------------------------------------------

CELLS = [
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    "|skip_connect~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|",
]


def trial(dataset, seed, epochs=2, **changes):
    parts = {"cifar10-valid": ("x-valid", "ori-test"), "cifar10": ("ori-test",)}
    parts = parts.get(dataset, ("x-valid", "x-test", "ori-test"))
    places = [f"{p}@{e}" for p in parts for e in range(epochs)]
    return {
        "name": dataset,
        "train_acc1es": {e: 10.0 + seed + e for e in range(epochs)},
        "train_acc5es": None,
        "train_losses": {e: 1.0 / (e + 1) for e in range(epochs)},
        "train_times": OrderedDict((e, 2.5) for e in range(epochs)),
        "arch_config": {"channel": 16, "num_cells": 5, "class_num": 10},
        "params": np.float64(0.5),
        "flop": 20.25,
        "seed": f"{seed:04d}",
        "epochs": epochs,
        "latency": [np.float64(0.01)],
        "eval_names": list(parts),
        "eval_acc1es": {p: float(50 + i) for i, p in enumerate(places)},
        "eval_times": dict.fromkeys(places, 1.0),
        "eval_losses": {p: float(i) for i, p in enumerate(places)},
        "net_state_dict": None,
        **changes,
    }


def record(index, trials=None, **changes):
    trials = trials or {("cifar10", 777): trial("cifar10", 777)}
    made = {
        "arch_index": index,
        "arch_str": CELLS[index],
        "all_results": trials,
        "dataset_seed": {"cifar10": [777]},
        "clear_net_done": True,
        **changes,
    }
    return {"12": made, "200": made}


def pack(path, value, protocol=4):
    path.write_bytes(bz2.compress(pickle.dumps(value, protocol)))


def write_folder(folder, records=None, meta=None):
    folder.mkdir(exist_ok=True)
    meta = meta or {
        "meta_archs": CELLS,
        "total_archs": 2,
        "arch2infos": None,
        "evaluated_indexes": set(),
    }
    pack(folder / "meta.pickle.pbz2", meta)
    for index, content in enumerate(records or [record(0), record(1)]):
        pack(folder / f"{index:06d}.pickle.pbz2", content)
    return folder


# --- NAS-Bench-101 --------------------------------------------------------------------------------


def bitwise_crc32c(data):
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


def masked_crc(data):
    crc = bitwise_crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def frame(content):
    length = struct.pack("<Q", len(content))
    return length + masked_crc(length) + content + masked_crc(content)


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def double(number, value):
    return bytes([number << 3 | 1]) + struct.pack("<d", value)


def message(number, content):
    return bytes([number << 3 | 2]) + varint(len(content)) + content


def evaluation(epoch, seconds, train, val, test, extra=b""):
    values = (epoch, seconds, train, val, test)
    return b"".join(double(i, v) for i, v in enumerate(values, 1)) + extra


def training(budget, base, params=1000, points=None):
    points = points or [
        evaluation(
            e, e * 2.0, base + e / 1000, base + e / 2000, base + e / 4000, message(6, b"ckpt")
        )
        for e in (0, budget // 2, budget)
    ]
    content = b"".join(message(1, p) for p in points)
    return content + bytes([2 << 3]) + varint(params) + double(3, budget * 3.0)


HASHES = [f"{i:032x}" for i in range(3)]
CELL101 = ("0110001100010000", "input,conv1x1-bn-relu,conv3x3-bn-relu,output")
CELLS101 = [
    CELL101,
    ("0110000100010000", "input,maxpool3x3,conv3x3-bn-relu,output"),
    ("0100001000010000", "input,conv3x3-bn-relu,conv3x3-bn-relu,output"),
]


def nb101_record(name=HASHES[0], budget=108, cell=CELL101, content=None, base=0.5):
    content = training(budget, base) if content is None else content
    packed = base64.encodebytes(content).decode()
    return json.dumps([name, budget, *cell, packed]).encode()


def write_tfrecord(path, records):
    path.write_bytes(b"".join(map(frame, records)))
    return path


# --- the others, by the layouts that docs/benchmark-formats.md names ------------------------------


def nb201_content(networks=2):
    """What NAS-Bench-201-v1_1-096897.pth holds, for a few networks."""
    infos = {}
    for index in range(networks):
        made = record(index)
        infos[index] = {"full": made["200"], "less": record(index)["12"]}
    return {
        "meta_archs": CELLS,
        "total_archs": len(CELLS),
        "arch2infos": infos,
        "evaluated_indexes": set(range(networks)),
    }


def transnas_content():
    """What transnas-bench_v10141024.pth holds, for two networks and tasks."""

    def task(base, names):
        return {
            "total_epochs": 3,
            "model_info": {
                "inference_time": 0.25,
                "encoder_params": 1.5,
                "model_params": 2.5,
                "model_FLOPs": np.float64(3.5),
                "encoder_FLOPs": 4.5,
            },
            "metrics": {n: [base + i + e for e in range(3)] for i, n in enumerate(names)},
        }

    top = ["train_top1", "valid_top1", "valid_top5", "test_top1", "valid_loss", "time_elapsed"]
    room = ["valid_loss", "valid_neg_loss"]
    return {
        "metrics_dict": {"class_object": top, "room_layout": room},
        "info_names": ["inference_time", "encoder_params", "model_params"],
        "task_list": ["class_object", "room_layout"],
        "data": {
            "macro": {
                "64-1234-basic": {"class_object": task(10, top), "room_layout": task(-1, room)}
            },
            "micro": {"64-41414-1_02_333": {"class_object": task(20, top)}},
        },
    }


def suite_zero_content():
    """What zc_nasbench201.json holds, for two networks."""
    scores = {"synflow": {"score": 12.5, "time": 0.5}, "jacov": {"score": -1e8, "time": 0.25}}
    first, second = "(4, 3, 3, 0, 0, 0)", "(1, 0, 2, 3, 4, 0)"
    return {
        "cifar10": {
            first: {"id": 0, **scores, "val_accuracy": 81.9},
            second: {"id": 1, "synflow": {"score": 2.5, "time": 0.5}, "val_accuracy": 10.0},
        },
        "ImageNet16-120": {second: {"id": 1, **scores, "val_accuracy": 20.5}},
    }


def write_robustness(folder):
    """The folder of the robustness dataset, with three networks of which two are alike."""
    (folder / "cifar10").mkdir(parents=True)
    ids = {
        "0": {"nb201-string": CELLS[0], "isomorph": "0"},
        "1": {"nb201-string": CELLS[1], "isomorph": "1"},
        "2": {"nb201-string": CELLS[1].replace("none~0|none~1|+", "none~0|skip_connect~1|+")},
    }
    ids["2"]["isomorph"] = "1"
    meta = {"ids": ids, "epsilons": {"fgsm@Linf": [0.5, 8.0]}}
    (folder / "meta.json").write_text(json.dumps(meta))
    for key, values in {
        "clean": {"0": 0.5, "1": 0.893},
        "fgsm@Linf": {"0": [0.25, 0.125], "1": [0.336, None]},
        "fog": {"0": [0.5, 0.4, 0.3], "1": [0.1, 0.2, 0.3]},
    }.items():
        content = {"cifar10": {key: {"accuracy": values}}}
        (folder / "cifar10" / f"{key}_accuracy.json").write_text(json.dumps(content))
    return folder


def hw_nas_content():
    """What HW-NAS-Bench-v1_0.pickle holds, for two networks."""

    def columns(scale):
        return {
            "config": [
                {"name": "infer.tiny", "C": 16, "N": 5, "arch_str": c, "num_classes": 10}
                for c in CELLS
            ],
            "edgegpu_latency": [5.5 * scale, 6.5 * scale],
            "edgegpu_energy": np.array([24.0, 25.0]) * scale,
            "eyeriss_arithmetic_intensity": [np.float64(6.25), 7.5],
        }

    return {
        "nasbench201": {"cifar10": columns(1.0), "ImageNet16-120": columns(2.0)},
        "fbnet": {"edgegpu_latency": {"ConvNorm_H32_W32_Cin3_Cout16_kernel3_stride1_group1": 0.5}},
    }
