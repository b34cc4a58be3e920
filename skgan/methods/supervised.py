"""A classifier's layers as features: the supervised counterpart of a GAN's discriminator.

    min_C  -E_{x,y} w(y) log C(y | x)

The same trunk as the discriminator's, trained on labels by cross-entropy: what features of a GAN
are worth is seen next to it. Radford et al. 2016 (arXiv 1511.06434, sec. 5.2) compare DCGAN's
features on SVHN with such a network; Mao et al. read the layer before a bias-free head
("mao32").

| formula | here |
|---|---|
| C | classifier |
| x, y | `batch.x`, `batch.y` |
| w | `class_weight_`, 1 by default |

Among all C the one that minimises this has w(y) p(y | x) / sum_k w(k) p(k | x). C is therefore the
softmax of s_k(x) + log w(k), so that the network's scores s are left with log p(y | x), as they are
without weights: a head without bias would be slow to learn a constant.
"""

from typing import Any, ClassVar

from ..base import BaseGAN
from ..classification import ClassifierParameters, ClassWeights
from ..losses import cross_entropy
from ..nn import build_network
from ..nn.norms import NORMS
from ..parameters import TrunkFeatures
from ..utils.checks import check_choice
from ..utils.docs import A_SCORE_EACH, completed_by
from ..utils.parameters import parameters


@parameters
class SupervisedFeatures(ClassWeights, ClassifierParameters, TrunkFeatures, BaseGAN):
    """Features from a classifier, trained on labels alone.

    `fit` trains a network of the discriminators' families on X and y. `transform` returns the
    layer before its head, unpooled, or the layers that `layers` and the parameters after it
    choose. It is a classifier as well, with `predict`, `predict_proba` and `score`. Where at least
    two other classes are present, samples with the label -1 are unlabelled and left out of
    training. There is no prior, so nothing to sample from.

    Parameters
    ----------
    norm : {"batch", "none", "spectral", "weight"}
        Normalisation of the classifier.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgan import SupervisedFeatures
    >>> X, y = load_digits(return_X_y=True)
    >>> features = SupervisedFeatures(image_shape=(8, 8), n_epochs=1, random_state=0)
    >>> features.fit_transform(X, y).shape
    (1797, 256)
    """

    norm: str = "batch"
    layers: Any = -1
    pool_grid: int | None = None

    _needs_labels: ClassVar[bool] = True
    _features_of = "classifier"

    _networks = ("classifier",)

    def _check(self):
        check_choice("norm", self.norm, NORMS)
        super()._check()

    def _build(self, shape, rng):
        return {
            "classifier": build_network(
                "classifier", self.classifier, rng,
                input_shape=shape, n_outputs=len(self.classes_), norm=self.norm,
            )
        }  # fmt: skip

    def _step(self, nets, batch, update):
        w = self._weights_on(batch.x.device)
        update(classifier=cross_entropy(self._scores(nets, batch.x), batch.y, w))

    def _refresh(self, nets, x, z):
        nets.classifier(x)

    def _scores(self, nets, x):
        return self._with_weights(nets.classifier(x))

    @completed_by(A_SCORE_EACH)
    def score_samples(self, X):
        """The log of the largest class probability: low where the classifier is unsure."""
        return self._apply(
            lambda nets: lambda x: self._scores(nets, x).float().log_softmax(1).amax(1), X
        )
