"""
A network trained in torch
==========================

A small classifier of digits was trained in torch, and its ``state_dict`` saved. Here convjax runs it. The arrays go in
as they are: layouts, arguments and results are torch's. This page needs safetensors. The two files that it reads are in
``docs/gallery/data`` of convjax, beside ``digits_in_torch.py``, which made them.
"""

import jax
import matplotlib.pyplot as plt
import numpy as np
from safetensors.numpy import load_file

import convjax

state = load_file("data/digits.safetensors")
for name, array in state.items():
    print(f"{name:14} {array.shape}")

# %%
# safetensors needs no torch to read the file. With torch, a ``state_dict`` that ``torch.save`` has written is read by
# ``{name: tensor.numpy() for name, tensor in torch.load("digits.pt").items()}``.
#
# The function says what ``forward`` of the module in torch says.


def logits(state, x):
    x = jax.nn.relu(convjax.conv2d(x, state["conv1.weight"], state["conv1.bias"], padding=1))
    x = jax.nn.relu(convjax.conv2d(x, state["conv2.weight"], state["conv2.bias"], padding=1))
    x = convjax.max_pool2d(x, 2)
    x = jax.nn.relu(convjax.conv2d(x, state["conv3.weight"], state["conv3.bias"], padding=1))
    return x.reshape(len(x), -1) @ state["linear.weight"].T + state["linear.bias"]


# %%
# The images were not seen in training. They are from E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten
# Digits", UCI Machine Learning Repository, CC BY 4.0. Mistakes are red.

held_out = np.load("data/digits.npz")
images, labels = held_out["images"] / np.float32(16), held_out["labels"]
found = np.asarray(jax.jit(logits)(state, images)).argmax(1)
table = np.zeros((10, 10), int)
np.add.at(table, (labels, found), 1)

right, wrong = np.flatnonzero(found == labels), np.flatnonzero(found != labels)
figure = plt.figure(figsize=(10, 4.8), layout="constrained")
left, beside = figure.subfigures(1, 2, width_ratios=(6, 5))
for axis, n in zip(left.subplots(4, 6).flat, np.sort([*wrong, *right[::19][: 24 - len(wrong)]]), strict=True):
    axis.imshow(images[n, 0], cmap="Greys", vmin=0, vmax=1)
    text, colour = (f"{found[n]}", "black") if n in right else (f"{found[n]}, is {labels[n]}", "#d1495b")
    axis.set_title(text, color=colour)
    axis.axis("off")
axis = beside.subplots()
axis.imshow(np.sign(table) * (0.5 - np.eye(10)), cmap="RdBu_r", vmin=-1.2, vmax=1.2)
for (digit, answer), count in np.ndenumerate(table):
    axis.text(answer, digit, count or "", ha="center", va="center")
axis.set(xlabel="answer", ylabel="digit", xticks=range(10), yticks=range(10))
axis.set_title(f"{len(right)} of {len(labels)} answers are right")
plt.show()
