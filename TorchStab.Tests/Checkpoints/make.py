"""Writes the checkpoints beside it, as a PyTorch program would: python3 make.py. Needs PyTorch only; the files here were made by PyTorch 1.13.1.

A network with every norm trains for three steps in float64; then model and optimizer are saved. It trains for three steps more, and the model
is saved again: what a program that continues from the first files must come to.

python3 make.py check FOLDER loads what another program saved there after the six steps, trains for three steps more, and fails unless the network is
then that of nine steps in one run.
"""
import collections
import json
import pathlib
import struct
import sys

import torch
from torch import nn

FOLDER = pathlib.Path(__file__).parent


class RMSNorm(nn.Module):
    """PyTorch's since 2.4."""

    def __init__(self, size, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


def network():
    torch.manual_seed(1)
    return nn.Sequential(collections.OrderedDict(
        conv=nn.Conv2d(3, 4, 3), batch2d=nn.BatchNorm2d(4), relu=nn.ReLU(), instance=nn.InstanceNorm2d(4, affine=True, track_running_stats=True),
        group=nn.GroupNorm(2, 4), flatten=nn.Flatten(), layer=nn.LayerNorm(64), linear=nn.Linear(64, 8), batch1d=nn.BatchNorm1d(8), rms=RMSNorm(8),
        output=nn.Linear(8, 2))).double()


def train(model, optimizer, x, y, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()


def save_safetensors(state, path):
    """The format of huggingface/safetensors: the length of a JSON header, the header, the bytes."""
    names = {torch.float64: "F64", torch.int64: "I64"}
    header, data = {}, b""
    for key, tensor in state.items():
        values = tensor.detach().contiguous().view(-1)
        raw = struct.pack(f"<{values.numel()}{'d' if tensor.dtype == torch.float64 else 'q'}", *values.tolist())
        header[key] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


OPTIMIZERS = {
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.1),
    "sgd": lambda p: torch.optim.SGD(p, lr=1e-2, momentum=0.9, nesterov=True, weight_decay=1e-3),
}


def make():
    torch.manual_seed(2)
    x, y = torch.randn(16, 3, 6, 6, dtype=torch.float64), torch.randint(0, 2, (16,))
    torch.save({"x": x, "y": y}, FOLDER / "data.pth")
    for name, new in OPTIMIZERS.items():
        model = network()
        optimizer = new(model.parameters())
        train(model, optimizer, x, y, 3)
        torch.save(model.state_dict(), FOLDER / f"{name}.model.pth")
        torch.save(optimizer.state_dict(), FOLDER / f"{name}.optimizer.pth")
        if name == "adamw":
            save_safetensors(model.state_dict(), FOLDER / "adamw.model.safetensors")
        train(model, optimizer, x, y, 3)
        torch.save(model.state_dict(), FOLDER / f"{name}.expected.pth")


def check(folder):
    data = torch.load(FOLDER / "data.pth")
    for name, new in OPTIMIZERS.items():
        expected, model = network(), network()
        train(expected, new(expected.parameters()), data["x"], data["y"], 9)
        model.load_state_dict(torch.load(folder / f"{name}.model.pth"))
        optimizer = new(model.parameters())
        optimizer.load_state_dict(torch.load(folder / f"{name}.optimizer.pth"))
        train(model, optimizer, data["x"], data["y"], 3)
        worst = max((a.double() - b.double()).abs().max().item() for a, b in zip(model.state_dict().values(), expected.state_dict().values()))
        print(f"{name}: off by {worst:.1e}")
        assert worst < 1e-9


if __name__ == "__main__":
    check(pathlib.Path(sys.argv[2])) if sys.argv[1:2] == ["check"] else make()
