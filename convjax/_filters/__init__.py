"""What convjax.ndimage, signal and edges share: passes along one axis, means, exact integers, ranks, transforms."""
