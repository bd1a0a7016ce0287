"""The gallery's network that was trained in torch: torch and the page give the same logits."""

import runpy
from pathlib import Path

import jax
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import torch

GALLERY = Path(__file__).parents[2] / "docs" / "gallery"


def test_the_page_gives_the_logits_of_torch(monkeypatch):
    matplotlib.use("Agg")
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    monkeypatch.chdir(GALLERY)
    network = runpy.run_path("data/digits_in_torch.py")["Digits"]()
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        page = runpy.run_path("plot_torch_state_dict.py")
        ours = np.asarray(page["logits"](page["state"], page["images"]))
    network.load_state_dict({name: torch.from_numpy(array) for name, array in page["state"].items()})
    with torch.no_grad():
        theirs = network(torch.from_numpy(page["images"])).numpy()
    assert ours.dtype == theirs.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * abs(theirs).max())
    assert (theirs.argmax(1) == page["labels"]).mean() > 0.95
    assert (ours.argmax(1) == page["labels"]).mean() > 0.95
