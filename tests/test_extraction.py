"""transform in parts, into files, and with memory that does not grow with X."""

import gc
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from skgan import DCGANDiscriminatorFeatures, DCGANSpec
from skgan.extraction import _write

LINUX = Path("/proc/self/status")
needs_proc = pytest.mark.skipif(not LINUX.exists(), reason="reads memory from /proc")


def held():
    """MB that this process itself holds; pages of mapped files, which can go, do not count."""
    line = next(s for s in LINUX.read_text().splitlines() if s.startswith("RssAnon:"))
    return int(line.split()[1]) / 1024


def peak_while(run):
    """The most that was held while `run()` ran, above what was held before, in MB."""
    gc.collect()
    before, most, done = held(), [0.0], threading.Event()

    def look():
        while not done.wait(0.005):
            most[0] = max(most[0], held())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        run()
    finally:
        done.set()
        thread.join()
    return most[0] - before


def test_parts_join_to_what_transform_returns(small, digits):
    X, _ = digits
    gan = small(image_shape=(8, 8), transform_batch_size=64).fit(X)
    parts = list(gan.iter_transform(X))
    assert [len(p) for p in parts] == [64, 64, 64, 64, 44]
    assert all(p.dtype == np.float32 for p in parts)
    assert np.array_equal(np.concatenate(parts), gan.transform(X))


def test_bad_rows_are_refused_before_the_first_part(small, digits):
    X, _ = digits
    gan = small(image_shape=(8, 8)).fit(X)
    with pytest.raises(ValueError, match="expecting 64 features"):
        gan.iter_transform(X[:, :60])


def test_features_are_written_to_a_file(small, digits, tmp_path):
    X, _ = digits
    gan = small(image_shape=(8, 8)).fit(X)
    out = gan.transform_to(X, tmp_path / "features.npy")
    assert isinstance(out, np.memmap) and not out.flags.writeable
    assert np.array_equal(out, gan.transform(X))
    assert np.array_equal(np.load(tmp_path / "features.npy"), out)
    assert [p.name for p in tmp_path.iterdir()] == ["features.npy"]
    with pytest.raises(ValueError, match=r"path='.*features.txt' must end in '.npy'"):
        gan.transform_to(X, tmp_path / "features.txt")


def test_a_failure_leaves_an_earlier_file_alone(small, digits, tmp_path, monkeypatch):
    X, _ = digits
    gan = small(image_shape=(8, 8), transform_batch_size=100).fit(X)
    path = tmp_path / "features.npy"
    before = np.array(gan.transform_to(X, path))
    original, calls = type(gan._format).encode, []

    def failing(self, rows):
        calls.append(len(rows))
        if len(calls) == 2:
            raise OSError("the disk is gone")
        return original(self, rows)

    monkeypatch.setattr(type(gan._format), "encode", failing)
    with pytest.raises(OSError, match="the disk is gone"):
        gan.transform_to(X + 1, path)
    assert np.array_equal(np.load(path), before)
    assert [p.name for p in tmp_path.iterdir()] == ["features.npy"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_full_disk_is_an_error_and_not_the_end_of_the_process():
    parts = [(slice(i, i + 100), np.ones((100, 64), np.float32)) for i in (0, 100)]
    with pytest.raises(OSError, match="No space left"):
        _write(Path("/dev/full"), 200, iter(parts))


def test_gradients_stay_on_for_who_reads_the_parts(small, digits):
    """A generator must not leave its contexts open between two parts."""
    X, _ = digits
    gan = small(image_shape=(8, 8), transform_batch_size=100, precision="bfloat16").fit(X)
    for _ in gan.iter_transform(X):
        assert torch.is_grad_enabled()
        assert not torch.is_autocast_enabled("cpu")
        assert torch.nn.Linear(600, 600)(torch.ones(1, 600)).dtype == torch.float32


@pytest.fixture
def extractor():
    spec = DCGANSpec(4, n_blocks=2)
    gan = DCGANDiscriminatorFeatures(
        generator=spec, discriminator=spec, n_epochs=0, layers=-1, pool_grid=1, device="cpu"
    )
    return gan.fit(np.zeros((4, 16, 16), np.uint8))


@needs_proc
def test_memory_does_not_depend_on_the_number_of_rows(extractor, tmp_path):
    peaks = {}
    for n in (20_000, 120_000):
        X = np.memmap(tmp_path / f"{n}.bin", np.uint8, "w+", shape=(n, 16, 16))
        extractor.transform(X[:4096])
        peaks[n] = peak_while(lambda X=X: extractor.transform_to(X, tmp_path / "out.npy"))
    # Its rows as float32 would take 102 MB more, the bytes alone 26 MB.
    assert peaks[120_000] - peaks[20_000] < 15, peaks


@needs_proc
@pytest.mark.slow
def test_a_million_images_take_less_than_300_mb(extractor, tmp_path):
    X = np.memmap(tmp_path / "X.bin", np.uint8, "w+", shape=(1_000_000, 16, 16))
    output = 1_000_000 * extractor.n_features_out_ * 4 / 2**20
    peak = peak_while(lambda: extractor.transform(X))
    assert peak - output < 300, (peak, output)


def test_two_writers_of_one_file_do_not_damage_each_other(small, digits, tmp_path, monkeypatch):
    X, _ = digits
    gan = small(image_shape=(8, 8), transform_batch_size=100).fit(X)
    path, stream, begun = tmp_path / "features.npy", type(gan)._stream, []

    def interrupted(self, pick, rows):
        """Another job writes the whole file after this one's second part."""
        n, parts = stream(self, pick, rows)

        def slowly():
            for i, part in enumerate(parts):
                yield part
                if i == 1 and not begun:
                    begun.append(1)
                    gan.transform_to(X[:150], path)

        return n, slowly()

    monkeypatch.setattr(type(gan), "_stream", interrupted)
    assert np.array_equal(gan.transform_to(X, path), gan.transform(X))
    assert begun and [p.name for p in tmp_path.iterdir()] == ["features.npy"]


def test_memory_is_given_back_after_each_fit(small, bytes_28):
    """Networks, optimizers and graphs of earlier fits are gone: many fits hold what one does."""

    def numbers_held():
        gc.collect()
        held = [o for o in gc.get_objects() if issubclass(type(o), torch.Tensor)]
        return sum(o.numel() for o in held)

    gan = small(n_epochs=1).fit(bytes_28)
    before = numbers_held()
    assert before > sum(p.numel() for p in gan.discriminator_.parameters())
    for _ in range(3):
        gan.fit(bytes_28)
    assert numbers_held() == before
    assert all(p.grad is None for n in vars(gan._nets()).values() for p in n.parameters())


def test_parts_are_made_one_at_a_time(small, digits, tmp_path, monkeypatch):
    X, _ = digits
    gan = small(image_shape=(8, 8), n_epochs=0, transform_batch_size=100).fit(X)
    encoded, written, encode = [], [], type(gan._format).encode

    def noting(self, rows):
        encoded.append(len(rows))
        written.append(sum(p.stat().st_size for p in tmp_path.iterdir()))
        return encode(self, rows)

    monkeypatch.setattr(type(gan._format), "encode", noting)
    parts = gan.iter_transform(X)
    assert encoded == []
    first = next(parts)
    assert encoded == [100]
    written.clear()
    gan.transform_to(X, tmp_path / "features.npy")
    assert written[0] == 0 and written[1] > 0.8 * first.nbytes and written[2] > 1.8 * first.nbytes
