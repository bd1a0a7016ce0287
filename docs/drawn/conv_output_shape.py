import matplotlib.pyplot as plt

import convjax

figure, axes = plt.subplots(1, 2)
for axis, function in zip(axes, (convjax.conv, convjax.conv_transpose), strict=True):
    for stride, marker in ((1, "o"), (2, "s"), (3, "^")):
        sizes = range(3, 19)
        shapes = [convjax.conv_output_shape((1, n), (1, 1, 3), stride=stride, function=function) for n in sizes]
        axis.plot(sizes, [shape[-1] for shape in shapes], marker, markersize=4, label=f"stride {stride}")
    axis.set(
        title=f"{function.__name__}, kernel of 3",
        xlabel="size of x",
        ylabel="size of the result",
        xticks=range(3, 19, 3),
    )
    axis.legend()
