from grids import arrow, box, canvas, note

axis = canvas(14.4)
axis.plot([4.5, 15, 25.5, 4.5], [10.6, 2, 10.6, 10.6], color="#404040", lw=1.4, zorder=0)
arrow(axis, (15, 10.6), (15, 3.4))
arrow(axis, (9.75, 6.3), (21.9, 9.9))
arrow(axis, (20.25, 6.3), (8.1, 9.9))
box(axis, 11.5, 0.8, 7, 2.4, "y\nN, G O, m", "y")
box(axis, 1, 9.4, 7, 2.4, "x\nN, G I, n", "x")
box(axis, 22, 9.4, 7, 2.4, "w\nG O, I, k", "w")
note(axis, 8.9, 4.6, "x and y give w:\nstride r, x dilated by a,\ny the kernel, dilated by s", align="right")
note(axis, 21.1, 4.6, "y and w give x:\nstride a, y dilated by s,\nw flipped, dilated by r", align="left")
note(axis, 15, 11.9, "x and w give y:\nstride s, x dilated by a,\nw dilated by r")
note(axis, 15, 13.8, "any two give the third, by the same primitive; in a gradient, the gradient by y stands for y")
