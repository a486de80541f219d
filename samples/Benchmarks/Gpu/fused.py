"""The cases of `Benchmarks gpu-time` in PyTorch: its modules, and its fused AdamW after clip_grad_norm_. Medians of synchronized milliseconds, and peak memory.

python3 fused.py [--device cuda] [--quick]
"""
import argparse
import statistics
import time

import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--device", default="cpu")
parser.add_argument("--quick", action="store_true")
options = parser.parse_args()
device = torch.device(options.device)
TURNS, WARM_UP = (2, 2) if options.quick else (50, 10)


def wait():
    if device.type == "cuda":
        torch.cuda.synchronize()
    elif device.type == "mps":
        torch.mps.synchronize()


def measure(name, call):
    for _ in range(WARM_UP):
        call()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    times = []
    for _ in range(TURNS):
        wait()
        start = time.perf_counter()
        call()
        wait()
        times.append(1000 * (time.perf_counter() - start))
    peak = f"{(torch.cuda.max_memory_allocated() - before) / 1e6:.1f} MB" if device.type == "cuda" else ""
    print(f"| {name} | {statistics.median(times):.3f} ms | {peak} |")


def norm(name, module, shape, dtype, channels_last=False):
    module = module.to(device, dtype)
    x, upstream = (torch.randn(shape, device=device, dtype=dtype) for _ in range(2))
    if channels_last:
        x, upstream = (t.to(memory_format=torch.channels_last) for t in (x, upstream))
    x.requires_grad_()
    text = "×".join(map(str, shape))
    measure(f"{name} {text} {str(dtype).removeprefix('torch.')}, forward and backward", lambda: module(x).backward(upstream))


def resnet50():
    shapes, channels = [[64, 3, 7, 7], [64], [64]], 64
    for width, blocks in (64, 3), (128, 4), (256, 6), (512, 3):
        for block in range(blocks):
            shapes += [[width, channels, 1, 1], [width], [width], [width, width, 3, 3], [width], [width], [4 * width, width, 1, 1], [4 * width], [4 * width]]
            if block == 0:
                shapes += [[4 * width, channels, 1, 1], [4 * width], [4 * width]]
            channels = 4 * width
    return shapes + [[1000, 2048], [1000]]


def step(fused):
    parameters = [nn.Parameter(torch.randn(shape, device=device)) for shape in ([[64]] * 20 if options.quick else resnet50())]
    for p in parameters:
        p.grad = torch.randn_like(p)
    optimizer = torch.optim.AdamW(parameters, 1e-3, fused=fused)

    def clip_and_step():
        nn.utils.clip_grad_norm_(parameters, 1)
        optimizer.step()

    measure(f"AdamW with clip_grad_norm_, {len(parameters)} parameters, fused={fused}", clip_and_step)


images, rows = ([4, 16, 14, 14], [64, 128]) if options.quick else ([64, 256, 56, 56], [8192, 4096])
print(f"PyTorch {torch.__version__} on {torch.cuda.get_device_name() if device.type == 'cuda' else device}")
print("| case | median | peak memory above what was there |\n|---|---|---|")
for dtype in torch.float32, torch.bfloat16:
    norm("BatchNorm2d", nn.BatchNorm2d(images[1]), images, dtype)
    norm("BatchNorm2d, channels_last", nn.BatchNorm2d(images[1]), images, dtype, channels_last=True)
    norm("BatchNorm2d and ReLU", nn.Sequential(nn.BatchNorm2d(images[1]), nn.ReLU()), images, dtype)
    norm("GroupNorm", nn.GroupNorm(8, images[1]), images, dtype)
    norm("LayerNorm", nn.LayerNorm(rows[1]), rows, dtype)
step(fused=False)
step(fused=True)
