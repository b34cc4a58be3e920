"""The image data sets of the papers, read through torchvision into scikit-learn's `Bunch`."""

from .loaders import (
    load_celeba,
    load_cifar10,
    load_cifar100,
    load_emnist,
    load_fashion_mnist,
    load_kmnist,
    load_mnist,
    load_stl10,
    load_svhn,
    load_usps,
)

__all__ = [
    "load_celeba", "load_cifar10", "load_cifar100", "load_emnist", "load_fashion_mnist",
    "load_kmnist", "load_mnist", "load_stl10", "load_svhn", "load_usps",
]  # fmt: skip
