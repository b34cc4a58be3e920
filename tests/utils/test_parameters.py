"""Parameters declared once: what the constructor, the documentation and scikit-learn see."""

import inspect
import pickle

import pytest
import sklearn
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import ParameterGrid
from sklearn.utils import estimator_html_repr
from sklearn.utils.fixes import parse_version

from skgan import BiGANEncoder, DCGANDiscriminatorFeatures, MGANExtractor
from skgan.base import BaseGAN
from skgan.utils.discovery import all_estimators
from skgan.utils.parameters import names_of, parameter, parameters

METHODS = [cls for _, cls in all_estimators() if issubclass(cls, BaseGAN)]


@parameters
class Training:
    """How it trains.

    Parameters
    ----------
    lr : float
        Learning rate.

        In a second paragraph: of everything.
    n_epochs, n_steps : int
        How long.

    Attributes
    ----------
    history_ : list
        What was.
    """

    lr: float = 0.1
    n_epochs: int = 2
    n_steps: int = parameter(default=2, free=True)


@parameters
class Prior:
    """What z is.

    Parameters
    ----------
    dim : int
        Of z.
    """

    dim: int = parameter(default=3, shapes=True)


@parameters
class Method(Prior, Training, BaseEstimator):
    """A method.

    Parameters
    ----------
    net : object
        Its network.
    lr : float
        Of G.

    Attributes
    ----------
    net_ : object
        Trained.

    Examples
    --------
    >>> Method()
    """

    net: object = parameter(default=None, network=True, kw_only=False)
    lr: float = 0.2
    n_steps: int = 4


def test_own_parameters_come_first_then_groups_in_their_order():
    assert list(inspect.signature(Method).parameters) == [
        "net", "lr", "n_steps", "dim", "n_epochs",
    ]  # fmt: skip
    assert Method("net").net == "net"
    with pytest.raises(TypeError):
        Method("net", 0.1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'lrr'"):
        Method(lrr=0.1)


def test_the_docstring_is_whole_and_says_the_defaults_of_the_class():
    assert inspect.getdoc(Method) == inspect.cleandoc(
        """A method.

    Parameters
    ----------
    net : object, default=None
        Its network.
    lr : float, default=0.2
        Of G.
    n_steps : int, default=4
        How long.
    dim : int, default=3
        Of z.
    n_epochs : int, default=2
        How long.

    Attributes
    ----------
    net_ : object
        Trained.
    history_ : list
        What was.

    Examples
    --------
    >>> Method()
    """
    )
    assert "In a second paragraph: of everything.\nn_epochs, n_steps : int" in Training.__doc__


def test_what_is_true_of_a_parameter_is_said_where_it_is_declared():
    assert names_of(Method(), "network") == ["net"]
    assert names_of(Method(), "shapes") == ["dim"]
    assert names_of(Method(), "free") == []  # declared again, and no longer said
    assert names_of(Training(), "free") == ["n_steps"]


def test_a_parameter_without_a_description_is_an_error():
    with pytest.raises(TypeError, match="Silent describes no parameter quiet"):

        @parameters
        class Silent(Training):
            """Says little."""

            quiet: int = 1


class Mine(DCGANDiscriminatorFeatures):
    """A user's subclass with a constructor of its own."""

    def __init__(self, *, strength=1.0, lr=1e-3, latent_dim=7):
        super().__init__(lr=lr, latent_dim=latent_dim)
        self.strength = strength


def test_subclasses_of_users_may_have_constructors_of_their_own(digits):
    est = clone(Mine(strength=2.0)).set_params(lr=0.5)
    assert est.get_params() == {"strength": 2.0, "lr": 0.5, "latent_dim": 7}
    assert names_of(est, "shapes") == ["latent_dim"]
    est = Mine().fit(digits[0][:20])
    assert est.n_features_out_ == est.transform(digits[0][:5]).shape[1]


@pytest.mark.parametrize("cls", METHODS)
def test_every_method_shows_its_whole_list(cls):
    signature = inspect.signature(cls)
    assert "self" not in signature.parameters and "lr" in signature.parameters
    assert all(p.kind is p.KEYWORD_ONLY for p in signature.parameters.values())
    assert set(cls().get_params()) == set(signature.parameters)
    changed = cls(lr=0.5, random_state=3, device="cpu")
    for other in (clone(changed), pickle.loads(pickle.dumps(changed))):
        assert other.get_params() == changed.get_params()
        assert vars(other).keys() == vars(cls()).keys()
    assert list(ParameterGrid({"lr": [1, 2]})) == [{"lr": 1}, {"lr": 2}]
    html = estimator_html_repr(changed)
    assert cls.__name__ in html
    if parse_version(sklearn.__version__) >= parse_version("1.7"):  # before, only what was changed
        assert "checkpoint_every" in html


@pytest.mark.parametrize("cls", METHODS)
def test_numpydoc_reads_every_section(cls):
    scrape = pytest.importorskip("numpydoc.docscrape", reason="numpydoc is not installed")
    doc = scrape.NumpyDocString(inspect.getdoc(cls))
    assert [p.name for p in doc["Parameters"] for _ in p.name.split(", ")]
    names = [name for p in doc["Parameters"] for name in p.name.split(", ")]
    assert names == list(inspect.signature(cls).parameters)
    assert {"history_", "n_steps_", "input_shape_"} <= {
        name for p in doc["Attributes"] for name in p.name.split(", ")
    }


def test_defaults_may_differ_between_methods():
    assert MGANExtractor().latent == "normal" and BiGANEncoder().latent == "uniform"
    assert 'latent : {"uniform", "normal"}, default=\'normal\'' in MGANExtractor.__doc__
