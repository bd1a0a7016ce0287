"""What the programs in examples/ are made of: command line, pictures, and the training of learn_edges.py."""
