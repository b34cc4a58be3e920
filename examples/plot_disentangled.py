"""
What is said, apart from who says it
====================================

Several voices speak the same kind of words. An autoencoder with two codes has to put what is said
into one, and who says it into the other. Then any voice can be given the words of another. This
example synthesises its voices, so the right result of a conversion is known: the same words by
the other voice. The sounds are spectrograms, which are images with one channel.
"""

# %%
# Voices and words
# ----------------
# A word goes from vowel to vowel to vowel, each of which has three formants, frequencies that are
# emphasised (in Hz). A voice has a pitch, a factor for all formants, since vocal tracts differ in
# length, and a tilt of its spectrum in dB per octave.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from skgan import DCGANSpec, DisentangledEncoder
from skgan.evaluation import domain_leak

RATE, HOP, WIDTH, N_FRAMES = 8000, 128, 256, 32
VOWELS = np.array([
    [730, 1090, 2440], [270, 2290, 3010], [300, 870, 2240], [530, 1840, 2480], [570, 840, 2410],
])  # fmt: skip
VOICES = {1: (110, 1.0, 0), 2: (165, 1.12, -3), 3: (225, 1.25, -6)}


def speak(word, voice, rng):
    """Half a second: harmonics of the pitch, as loud as the formants and the tilt make them."""
    pitch, factor, tilt = VOICES[voice]
    n = HOP * (N_FRAMES - 1) + WIDTH
    t = np.arange(n)
    formants = [factor * np.interp(t, np.linspace(0, n - 1, len(word)), f) for f in VOWELS[word].T]
    pitch = pitch * (1 + 0.01 * rng.normal())
    sound = 0.003 * rng.normal(size=n)
    for f in np.arange(pitch, 3800, pitch):
        resonance = sum(
            height / (1 + ((f - formant) / width) ** 2)
            for formant, height, width in zip(formants, (1, 0.6, 0.35), (80, 110, 150), strict=True)
        )
        sound += resonance * 10 ** (tilt * np.log2(f / 500) / 20) * np.sin(2 * np.pi * f * t / RATE)
    return sound


def spectrogram(sound):
    """64 bands by 32 frames, in [0, 1]: the 60 dB below the loudest."""
    frames = np.stack([sound[i * HOP :][:WIDTH] for i in range(N_FRAMES)]) * np.hanning(WIDTH)
    power = np.square(np.abs(np.fft.rfft(frames)))[:, :128].reshape(N_FRAMES, 64, 2).mean(2)
    decibel = 10 * np.log10(power.T + 1e-6)
    return np.clip((decibel - decibel.max() + 60) / 60, 0, 1)


rng = np.random.default_rng(0)
words, voice = rng.integers(0, len(VOWELS), (1200, 3)), rng.integers(1, 4, 1200)
X = np.stack([spectrogram(speak(w, v, rng)) for w, v in zip(words, voice, strict=True)])

# For tests: 150 words that all three voices say.
words_test = rng.integers(0, len(VOWELS), (150, 3))
said_by = {v: np.stack([spectrogram(speak(w, v, rng)) for w in words_test]) for v in VOICES}
X_test, voice_test = np.concatenate(list(said_by.values())), np.repeat(list(VOICES), 150)

# %%
# Train
# -----
# `sample_domain` says which voice is speaking. No label says what was said, and no word is
# repeated on purpose. With a weight of 0, the adversary has no influence.

spec = DCGANSpec(16)
settings = {
    "encoder": spec, "generator": spec, "latent_dim": 8, "n_epochs": 20, "batch_size": 96,
    "lr": 1e-3, "domain_classifier_lr": 3e-3, "lr_decay": "linear", "warmup": 0.1,
    "ema_decay": 0.99, "random_state": 0,
}  # fmt: skip
apart = DisentangledEncoder(adversary_weight=0.01, **settings).fit(X, sample_domain=voice)
plain = DisentangledEncoder(adversary_weight=0.0, **settings).fit(X, sample_domain=voice)
encoders = {"without adversary": plain, "with adversary": apart}

# %%
# Who speaks, by the content code
# -------------------------------
# The adversary's accuracy proves nothing, since the encoder learnt to beat this very adversary.
# Three classifiers that are trained afterwards, on sounds that were kept out, are better judges.
# The linear one and the neighbours find little. The network still finds the voice of three sounds
# in four, where it found all of them before: the content code is not free of the voice, only
# freer.

for name, encoder in encoders.items():
    print(f"{name:>17}, adversary: {encoder.history_[-1]['adversary_accuracy']:.3f}")
    print(f"{name:>17}, {domain_leak(encoder.transform(X_test), voice_test)}")
print(f"by the domain code, {domain_leak(apart.transform_domain(X_test), voice_test)}")

# %%
# How well can the vowel in the middle be read from the content code? A classifier is trained on
# the codes of two voices and tested on the third. The less the code says about the voice, the
# better what was learnt from two voices holds for another.

middle = np.tile(words_test[:, 1], 3)
for name, encoder in encoders.items():
    Z = encoder.transform(X_test)
    scores = []
    for v in VOICES:
        two = voice_test != v
        scores.append(SVC(C=10).fit(Z[two], middle[two]).score(Z[~two], middle[~two]))
    print(f"{name:>17}: {np.mean(scores):.2f}")

# %%
# Conversion
# ----------
# The first row has words by the first voice. The second row has the same words converted to the
# third voice, and the last row has the third voice itself. Without the adversary, in the third
# row, the content code contains the voice as well, and the domain code has little effect.

low, high = said_by[1], said_by[3]
rows = {
    "voice 1": low,
    "converted to voice 3": apart.convert(low, to_domain=3),
    "the same without adversary": plain.convert(low, to_domain=3),
    "voice 3 itself": high,
}
fig, axes = plt.subplots(4, 6, figsize=(9, 7.5), layout="constrained", sharex=True, sharey=True)
for line, (title, windows) in zip(axes, rows.items(), strict=True):
    for ax, window in zip(line, windows, strict=False):
        ax.imshow(window, origin="lower", aspect="auto", cmap="magma", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
    line[0].set_title(title, loc="left")
fig.supxlabel("time")
fig.supylabel("frequency")

# %%
# In numbers, these are the mean squared error to the third voice itself, and how often a
# classifier of real sounds takes the converted ones for the third voice.

judge = LogisticRegression(max_iter=1000).fit(X.reshape(len(X), -1), voice)
for title, windows in rows.items():
    error = np.square(windows - high).mean()
    taken = np.mean(judge.predict(windows.reshape(len(windows), -1)) == 3)
    print(f"{title:>26}: error {error:.3f}, taken for voice 3: {taken:.2f}")

plt.show()
