"""
Labels of one domain, predictions for another
=============================================

Two moons have labels, and the same moons turned by 35 degrees have none. A classifier of the
first is wrong about a quarter of the second. Domain-adversarial training looks for features in
which both look alike. This example draws how each model divides the plane, checks with a new
classifier whether the domains can still be told by the features, and switches the terms off one
by one.
"""

# %%
# Two domains
# -----------
# There are 150 points of each class and domain. `fit` gets -1 in place of the target's labels.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

from skgan import DomainAdversarialFeatures, MLPSpec
from skgan.evaluation import proxy_a_distance

angle, centre = np.deg2rad(35), [0.5, 0.25]
turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
X_source, y_source = make_moons(300, noise=0.05, random_state=0)
X_target, y_target = make_moons(300, noise=0.05, random_state=1)
X_source, X_target = X_source - centre, (X_target - centre) @ turn

X = np.concatenate([X_source, X_target])
domain = np.repeat([1, -1], 300)  # above 0: a source; below 0: a target
y = np.concatenate([y_source, np.full(300, -1)])

# %%
# Train
# -----
# All models have the same small network, whose four features both heads read. With a weight of 0,
# the domain head does not influence them. VADA's terms ask for predictions on the target that are
# certain, and that are the same for neighbours.

settings = {
    "trunk": MLPSpec(widths=(32, 4)), "norm": "batch", "domain_hidden": (64,),
    "play": "alternating", "optimizer": "adam", "lr": 0.01, "betas": (0.5, 0.999),
    "lr_decay": "linear", "n_epochs": 300, "random_state": 0,
}  # fmt: skip
vada = {"entropy_weight": 0.1, "vat_weight": 1.0, "vat_radius": 0.15}
models = {
    "source only": DomainAdversarialFeatures(**settings, domain_weight=0.0),
    "adversary": DomainAdversarialFeatures(**settings),
    "VADA's terms, no adversary": DomainAdversarialFeatures(**settings, **vada, domain_weight=0.0),
    "both": DomainAdversarialFeatures(**settings, **vada),
}
for model in models.values():
    model.fit(X, y, sample_domain=domain)

# %%
# Accuracy
# --------
# Only here are labels of the target used. The distance is measured by linear SVMs that have
# nothing to do with the domain head. It is about 0 if they cannot tell the domains, and 2 if they
# always can.

print(f"{'':>26}  source  target  distance")
for name, model in models.items():
    scores = model.score(X_source, y_source), model.score(X_target, y_target)
    distance = proxy_a_distance(model.transform(X), domain)
    print(f"{name:>26}  {scores[0]:6.3f}  {scores[1]:6.3f}  {distance:8.2f}")

# %%
# Source points are hollow, those of the target filled with their true class.

grid = np.stack(np.meshgrid(np.linspace(-2, 2, 120), np.linspace(-1.5, 1.5, 100)), axis=-1)
figure, axes = plt.subplots(1, 4, figsize=(14, 3), sharey=True, layout="constrained")
for axis, (name, model) in zip(axes, models.items(), strict=True):
    p = model.predict_proba(grid.reshape(-1, 2))[:, 1].reshape(grid.shape[:2])
    axis.contourf(grid[..., 0], grid[..., 1], p, levels=[0, 0.5, 1], cmap="coolwarm", alpha=0.3)
    colours = plt.get_cmap("coolwarm")(y_source.astype(float))
    axis.scatter(*X_source.T, s=8, facecolors="none", edgecolors=colours, linewidths=0.5)
    axis.scatter(*X_target.T, s=8, c=y_target, cmap="coolwarm")
    axis.set_title(name)

# %%
# The adversary turns the boundary with the data. So do VADA's terms without any adversary: if
# classes are well apart in the target, a boundary that avoids its points is nearly all there is
# to find. On your own problem, only such a comparison says which of the two was needed.

# %%
# On the left is the distance during training, by a new linear classifier after each epoch. On the
# right is the accuracy of the domain head itself, which proves nothing.

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
for name in ("source only", "adversary"):
    history = models[name].history_
    left.plot([row["proxy_a_distance"] for row in history], label=name)
    right.plot([(row["domain_accuracy_1"] + row["domain_accuracy_-1"]) / 2 for row in history])
left.set(xlabel="epoch", ylabel="proxy A-distance")
right.set(xlabel="epoch", ylabel="accuracy of the domain head")
left.legend()

plt.show()
