"""A camera for tests and for the demonstration: a video file that behaves like a device on the network.

    tape (access units and pictures of a file) -> programme (what is shown when) -> rtsp | web | vapix -> the reader

RTSP with H.264 in RTP over the RTSP connection and sender reports; MJPEG and snapshots over HTTP; digest
authentication on both; faults on command; what an Axis camera says of itself (VAPIX), with certificates made on
the spot. `python -m tests.simulator --help` runs it as a process of its
own, `background.running` in a thread, `pattern.write_video` makes a video whose frames know their number.
"""
