"""The lowerings: each a file of plain lax ops that computes one ConvSpec, and one entry in the table here."""

from convjax._lowerings import direct
from convjax._lowerings._lowering import Lowering

LOWERINGS: dict[str, Lowering] = {lowering.name: lowering for lowering in (direct.LOWERING,)}
