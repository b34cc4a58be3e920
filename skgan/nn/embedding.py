"""Codes that are learnt themselves, one for each of a few known things."""

from torch import Tensor, nn

from .blocks import recorded


class DomainCodes(nn.Module):
    """Indices of domains k (n,) -> their codes (n, dim).

    Parameters
    ----------
    n_domains : int
    dim : int
    """

    @recorded
    def __init__(self, n_domains, dim):
        super().__init__()
        self.table = nn.Embedding(n_domains, dim)

    def forward(self, k: Tensor) -> Tensor:
        return self.table(k)
