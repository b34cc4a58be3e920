"""Training in several processes: throughput measured here, and a model of cost and communication.

    python examples/benchmarks/processes.py measure --rounds 5
    python examples/benchmarks/processes.py plan

`measure` trains a DCGAN and a BiGAN on random images, with one thread in each process and the same
minibatch for each, in turn: in one process; in two that do not talk to each other ("apart"), which
share the machine's memory and clock; and in two that train one model, with batch norm per process
("own_norm") and over both ("synchronised"). It compares images per second.

It also times what the model consists of. A message of few bytes costs more than its latency, since
each process waits for the slower one: so it is timed after a piece of work, less the time of the
work alone. Large messages are timed by themselves. The model

    seconds of a step = seconds apart + sum over messages of (cost of a small one
                                                              + bytes / bandwidth)

predicts the throughput of two processes that talk, which is written down beside the measured one.

`plan` applies the model to BiGAN on ImageNet: AlexNet's convolutions as the encoder, of 112x112
pixels, and D and G of four convolutions with 5x5 kernels, of 64x64 pixels (Donahue et al. 2017,
arXiv 1605.09782, sec. 4.3, and its released code), 1,281,167 images, 50 + 50 epochs, on 8 and 64
GPUs. What a GPU and its network can do is an assumption, given by options and written down; sizes
of messages, floating-point operations and the speed of decoding are counted or measured.
"""

import argparse
import io
import json
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from timing import interleave, machine, ratios
from torch import distributed, nn
from torch.utils.flop_counter import FlopCounterMode

import skgan
from skgan import DCGANSpec
from skgan.utils import processes

RESULTS = Path(__file__).parents[1] / "papers" / "results"
MESSAGES = (2**16, 2**19, 2**22, 2**24)  # numbers of float32
WAYS = {
    "1": {"n": 1}, "apart": {"n": 2, "apart": True},
    "own_norm": {"n": 2, "sync": False}, "synchronised": {"n": 2},
}  # fmt: skip
GANS = {
    "dcgan": (skgan.DCGANDiscriminatorFeatures, ("generator", "discriminator")),
    "bigan": (skgan.BiGANEncoder, ("generator", "discriminator", "encoder")),
}
IMAGENET = 1_281_167
EPOCHS = 100  # 50 at one learning rate, 50 while it falls


def estimator(name, options, sync=True):
    cls, roles = GANS[name]
    spec = DCGANSpec(options.width)
    return cls(
        **dict.fromkeys(roles, spec), n_epochs=2, batch_size=options.batch, random_state=0,
        device="cpu", precision="float32", sync_batchnorm=sync,
    )  # fmt: skip


# ------------------------------------------------------------------ measured here


def _fit_in(rank, n, folder, name, options, apart=False, sync=True):
    """Train, and write down the images per second of the second epoch, and what a step sends."""
    join(rank, 1 if apart else n, folder)
    sent = []
    reduce = distributed.all_reduce

    def counted(x, *args, **kwargs):
        sent.append(x.numel() * x.element_size())
        return reduce(x, *args, **kwargs)

    distributed.all_reduce = counted
    n_images = options.steps * options.batch * (1 if apart else n)
    X = np.random.default_rng(0).integers(0, 256, (n_images, 32, 32)).astype(np.uint8)
    est = estimator(name, options, sync).fit(X)
    steps = options.steps * 2
    by_step = [b for b in sent if b > 8][: len(sent) // steps * steps]
    found = {
        "images_per_second": est.history_[-1]["images_per_second"] * (n if apart else 1),
        "messages": len(by_step) / steps, "bytes": sum(by_step) / steps,
    }  # fmt: skip
    tell(rank, folder, found)
    leave(1 if apart else n)


def _time_large_messages(rank, n, folder):
    join(rank, n, folder)
    seconds = {}
    for size in MESSAGES:
        x, times = torch.randn(size), []
        for _ in range(20):
            distributed.barrier()
            started = time.perf_counter()
            distributed.all_reduce(x)
            times.append(time.perf_counter() - started)
        seconds[4 * size] = float(np.median(times))
    tell(rank, folder, seconds)
    leave(n)


def _time_small_messages(rank, n, folder, n_messages=200):
    """Seconds that a message of 128 numbers costs after a few milliseconds of work."""
    join(rank, n, folder)
    conv = nn.Conv2d(64, 128, 4, 2, 1).to(memory_format=torch.channels_last)
    x = torch.randn(64, 64, 16, 16).to(memory_format=torch.channels_last)
    few = torch.zeros(128)

    def run(with_messages):
        distributed.barrier()
        started = time.perf_counter()
        for _ in range(n_messages):
            conv(x).sum().backward()
            if with_messages:
                processes.average([few])
        return (time.perf_counter() - started) / n_messages

    run(True)
    pairs = [(run(True), run(False)) for _ in range(5)]
    found = {
        "work_s": float(np.median([without for _, without in pairs])),
        "message_s": float(np.median([with_ - without for with_, without in pairs])),
    }
    tell(rank, folder, found)
    leave(n)


def join(rank, n, folder):
    torch.set_num_threads(1)
    if n > 1:
        meeting = f"file://{folder}/meeting"
        distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=n)


def leave(n):
    if n > 1:
        distributed.barrier()
        distributed.destroy_process_group()


def tell(rank, folder, found):
    if rank == 0:
        (folder / "found.json").write_text(json.dumps(found))


def in_processes(n, function, *arguments):
    """What the first of n processes has written down."""
    import tempfile

    import torch.multiprocessing as mp

    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(function, args=(n, Path(folder), *arguments), nprocs=n)
        return json.loads((Path(folder) / "found.json").read_text())


def bandwidth_of(seconds):
    """Bytes per second, from the seconds that messages take by their bytes."""
    size, t = np.array(list(map(float, seconds))), np.array(list(seconds.values()))
    per_byte, _ = np.polyfit(size, t, 1, w=1 / t)  # relative errors count
    return 1 / per_byte


def measure(options):
    small = in_processes(2, _time_small_messages)
    bandwidth = bandwidth_of(in_processes(2, _time_large_messages))
    cost = small["message_s"]
    print(f"a small message costs {1e3 * cost:.2f} ms; {bandwidth / 1e9:.2f} GB/s", flush=True)
    found = {"messages": small | {"bytes_per_s": bandwidth}}
    for name in GANS:
        sent = {}

        def run(way, name=name, sent=sent):
            about = {"apart": False, "sync": True} | WAYS[way]
            arguments = (name, options, about["apart"], about["sync"])
            sent[way] = in_processes(about["n"], _fit_in, *arguments)
            return sent[way]["images_per_second"]

        figures = interleave({way: lambda w=way: run(w) for way in WAYS}, options.rounds)
        ratio = ratios(figures, "1")
        found[name] = {"images_per_second": figures, "ratio": ratio, "predicted": {}, "sent": {}}
        print(f"{name}, apart: {ratio['apart'][0]:.2f} times as fast", flush=True)
        for way in ("own_norm", "synchronised"):
            n_messages, n_bytes = (sent[way][k] for k in ("messages", "bytes"))
            apart = 2 * options.batch / float(np.median(figures["apart"]))
            step = apart + n_messages * cost + n_bytes / bandwidth
            predicted = 2 * options.batch / step / float(np.median(figures["1"]))
            found[name]["predicted"][way] = predicted
            found[name]["sent"][way] = {"messages": n_messages, "bytes": n_bytes}
            print(
                f"{name}, {way}: {ratio[way][0]:.2f} ({ratio[way][1]:.2f} to {ratio[way][2]:.2f}) "
                f"times as fast in two processes; the model says {predicted:.2f} "
                f"({n_messages:.0f} messages, {n_bytes / 1e6:.1f} MB a step)",
                flush=True,
            )
    write("processes", options, found)


# ------------------------------------------------------------------ planned


def imagenet_bigan(batch):
    """BiGAN of the paper's size: E sees 112x112 pixels, G makes 64x64."""
    layers, before = [], 3
    for width, kernel, stride, pool in (
        (96, 11, 4, True), (256, 5, 1, True), (384, 3, 1, False), (384, 3, 1, False),
        (256, 3, 1, True),
    ):  # fmt: skip
        layers += [
            nn.Conv2d(before, width, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(width), nn.LeakyReLU(0.2), *([nn.MaxPool2d(3, 2, 1)] if pool else []),
        ]  # fmt: skip
        before = width
    encoder = nn.Sequential(*layers, nn.Flatten(), nn.Linear(256 * 4 * 4, 200))
    other = DCGANSpec(64, kernel_size=5)
    return skgan.BiGANEncoder(
        encoder=encoder, generator=other, discriminator=other, latent_dim=200, encoder_size=112,
        generator_size=64, n_epochs=0, batch_size=batch, random_state=0, device="cpu",
    )  # fmt: skip


def plan(options):
    X = np.zeros((4, 3, 112, 112), np.uint8)
    est = imagenet_bigan(2).fit(X)
    nets = {role: getattr(est, f"{role}_") for role in ("generator", "encoder", "discriminator")}
    n_weights = {role: sum(p.numel() for p in net.parameters()) for role, net in nets.items()}
    n_norms = sum(
        isinstance(m, nn.modules.batchnorm._BatchNorm)
        for net in nets.values() for m in net.modules()
    )  # fmt: skip
    x, small, z = torch.zeros(2, 3, 112, 112), torch.zeros(2, 3, 64, 64), torch.zeros(2, 200)
    G, E, D = (nets[role] for role in ("generator", "encoder", "discriminator"))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        G(z), E(x), D(small, z), D(small, z)
    # Backward passes cost about twice the forward pass.
    flops = 3 * counter.get_total_flops() / 2
    decoded = decoding_speed()
    found = {"weights": n_weights, "flops_per_image": flops, "batch_norms": n_norms,
             "decoded_per_second_and_core": decoded}  # fmt: skip
    n_bytes = 4 * sum(n_weights.values())
    # A batch norm sends its statistics forward and their gradient backward; D runs twice.
    messages = 3 + 2 * (n_norms + 1)
    print(f"{n_weights} weights, {flops / 1e9:.2f} GFLOP an image, {messages} messages a step")
    for n, (latency, bandwidth) in {
        8: (options.latency_inside, options.bandwidth_inside),
        64: (options.latency_between, options.bandwidth_between),
    }.items():
        compute = options.batch * flops / options.flops
        sent = messages * latency + 2 * (n - 1) / n * n_bytes / bandwidth
        per_second = n * options.batch / (compute + sent)
        hours = EPOCHS * IMAGENET / per_second / 3600
        cores = per_second / decoded
        found[f"{n} GPUs"] = {
            "compute_ms": 1e3 * compute, "communication_ms": 1e3 * sent,
            "images_per_second": per_second, "hours": hours, "decoding_cores": cores,
        }  # fmt: skip
        print(
            f"{n} GPUs: {1e3 * compute:.1f} ms of arithmetic and {1e3 * sent:.1f} ms of messages a "
            f"step, {per_second:,.0f} images a second, {hours:.1f} hours; decoding that many takes "
            f"{cores:,.0f} cores"
        )
    write("processes_plan", options, found)


def decoding_speed(n=60):
    """JPEG files of ImageNet's usual size, decoded and resized on one core: images per second."""
    rng = np.random.default_rng(0)
    smooth = rng.integers(0, 256, (25, 32, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(smooth).resize((500, 375), Image.Resampling.BICUBIC).save(file, "JPEG")
    started = time.perf_counter()
    for _ in range(n):
        image = Image.open(io.BytesIO(file.getvalue())).convert("RGB")
        np.asarray(image.resize((149, 112), Image.Resampling.BILINEAR))
    return n / (time.perf_counter() - started)


def write(name, options, found):
    path = RESULTS / f"{name}.json"
    settings = {k: v for k, v in vars(options).items() if k != "run"}
    path.write_text(json.dumps({"settings": settings, **machine(), **found}, indent=1) + "\n")
    print(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    verbs = parser.add_subparsers(required=True)
    one = verbs.add_parser("measure", help="throughput of one and of two processes, here")
    one.add_argument("--rounds", type=int, default=5)
    one.add_argument("--steps", type=int, default=12)
    one.add_argument("--batch", type=int, default=64)
    one.add_argument("--width", type=int, default=64)
    one.set_defaults(run=measure)
    two = verbs.add_parser("plan", help="BiGAN on ImageNet, on 8 and 64 GPUs")
    two.add_argument("--batch", type=int, default=128, help="images of a minibatch for each GPU")
    two.add_argument("--flops", type=float, default=20e12, help="per second and GPU, as reached")
    two.add_argument("--latency-inside", type=float, default=20e-6, help="seconds")
    two.add_argument("--bandwidth-inside", type=float, default=200e9, help="bytes per second")
    two.add_argument("--latency-between", type=float, default=60e-6, help="seconds")
    two.add_argument("--bandwidth-between", type=float, default=20e9, help="bytes per second")
    two.set_defaults(run=plan)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
