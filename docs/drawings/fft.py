import matplotlib.pyplot as plt
import numpy as np

size, taps = 64, 21
picture = np.zeros((size, size))
picture[10:44, 10:20] = picture[34:44, 10:40] = 1
steps = np.arange(taps) - taps // 2
kernel = np.exp(-(steps**2 + steps[:, None] ** 2) / 30)
padded = np.zeros((size, size))
padded[:taps, :taps] = kernel / kernel.max()

spectra = [np.fft.fft2(picture), np.conj(np.fft.fft2(padded / padded.sum()))]
spectra.append(spectra[0] * spectra[1])
result = np.real(np.fft.ifft2(spectra[2]))

figure, axes = plt.subplots(2, 3, figsize=(7.2, 4.8))
titles = "x", "w, padded to that size", "y; the frame is kept"
for axis, title, image in zip(axes[0], titles, (picture, padded, result), strict=True):
    axis.imshow(image, cmap="gray", vmin=0, vmax=1)
    axis.set(title=title, xticks=[], yticks=[])
kept = size - taps + 1
axes[0, 2].add_patch(plt.Rectangle((-0.5, -0.5), kept, kept, fill=False, edgecolor="#ff8800", lw=2))
names = "|X|, its transform", "|W|", "|X| |W|: their product"
for axis, title, image in zip(axes[1], names, spectra, strict=True):
    axis.imshow(np.fft.fftshift(np.log10(np.abs(image) + 1e-6)), cmap="magma", vmin=-4, vmax=3)
    axis.set(title=title, xticks=[], yticks=[])
