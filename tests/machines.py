"""The machines of dependent quantisation, as vaecodec/core/machine.h has them."""

# A machine is a systematic feedback encoder of a convolutional code with parity checks 103 and 024 (octal), the best of
# 64 states for amplitude modulation (Ungerboeck 1982, "Channel coding with multilevel/phase signals", table I).
STATES = 64
FEEDBACK, INPUT = 0o103 >> 1, 0o024 >> 1
# State and parity of a symbol to the next state, and the quantiser of each state.
NEXT = tuple(tuple(s >> 1 ^ FEEDBACK * (s & 1) ^ INPUT * parity for parity in (0, 1)) for s in range(STATES))
QUANTISER = tuple(s & 1 for s in range(STATES))
