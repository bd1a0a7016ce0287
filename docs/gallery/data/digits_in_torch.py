"""Trains the classifier of `plot_torch_state_dict.py` in torch. It needs torch, safetensors and scikit-learn.

    python digits_in_torch.py

writes two files next to this one: `digits.safetensors`, the trained network's state_dict, and `digits.npz`, the images
and labels that it has not seen. The images are scikit-learn's: the test set of "Optical Recognition of Handwritten
Digits" by E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, CC BY 4.0. They are stored here as uint8.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

HERE = Path(__file__).parent


class Digits(nn.Module):
    """Three convolutions, one pooling and a linear layer: from images (N, 1, 8, 8) in [0, 1] to logits (N, 10)."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 16, 3, padding=1)
        self.conv3 = nn.Conv2d(16, 16, 3, padding=1)
        self.linear = nn.Linear(16 * 4 * 4, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.conv3(x))
        return self.linear(x.flatten(1))


def main():
    from safetensors.torch import save_file
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 1, 8, 8).astype(np.uint8)  # 0 to 16
    seen = np.arange(len(images)) % 5 != 0
    x, y = torch.tensor(images[seen]) / 16, torch.tensor(labels[seen])

    torch.manual_seed(0)
    network = Digits()
    epochs, batch = 30, 64
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for _ in range(epochs):
        for chosen in torch.randperm(len(x)).split(batch):
            optimiser.zero_grad()
            F.cross_entropy(network(x[chosen]), y[chosen]).backward()
            optimiser.step()
        schedule.step()

    with torch.no_grad():
        found = network(torch.tensor(images[~seen]) / 16).argmax(1).numpy()
    print(f"right: {(found == labels[~seen]).sum()} of {(~seen).sum()}")
    save_file(network.state_dict(), HERE / "digits.safetensors")
    np.savez_compressed(HERE / "digits.npz", images=images[~seen], labels=labels[~seen].astype(np.uint8))


if __name__ == "__main__":
    main()
