"""The contract between box and centre: messages, their codec, keys, sealed boxes, and the conversation.

One DEALER on the box dials one ROUTER at the centre (address.py), CURVE on both sides (curve.py). A message
is one msgpack header frame (messages.py, codec.py) and, for an event, one raw payload frame that only the
centre can open (sealing.py). Who may say what when is conversation.py, by the tables of turns.py: no
sockets, no clock, both roles.

Nothing here imports anything of ours but `edge.errors`.
"""
