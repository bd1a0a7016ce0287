"""Traced programs of others, with their convolutions replaced by convjax's."""
