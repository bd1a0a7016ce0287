"""The lowerings: each a file of plain lax ops that computes one ConvSpec, and one entry in the table here."""

from convjax._lowerings import (
    apart,
    chwn,
    direct,
    exchange,
    fft,
    fold,
    interior,
    matmul,
    phases,
    planes,
    polyphase,
    reduce,
    shift,
    subconvolutions,
    unfold,
    winograd,
)
from convjax._lowerings._lowering import Lowering

_FILES = (
    direct, shift, reduce, matmul, winograd, fft, unfold, fold, interior, polyphase, exchange, phases, planes, apart,
    chwn, subconvolutions,
)  # fmt: skip

LOWERINGS: dict[str, Lowering] = {file.LOWERING.name: file.LOWERING for file in _FILES}
