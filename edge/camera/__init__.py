"""Frames in: from a video file, a folder of images, an RTSP or an MJPEG camera.

    settings -> source -> Picture -> reader -> feed (number, date, hand-over) -> Frame -> the pipeline

Words: a *source* (source.py) reads one connection or one file and yields *pictures*, decoded and nothing
more; files.py, streams.py (PyAV) and opencv.py (without it) are its kinds. The *reader* (reader.py) is a thread
that connects a stream again for as long as it is wanted. The *feed* (feed.py) owns the reader and replaces one
that hangs, and hands *frames* over: the newest one where time passes (streams, files at their own pace), every one
where it does not (fast). The *state* (state.py) says whether the camera sees and, if not, the *reason* (errors.py),
from the age of the newest picture and outside the decoder. A frame's *pixels* (planes.py) are the decoder's own
picture, by reference: what is needed of it becomes BGR (edge.faces.pixels), never the whole.

An address (address.py) is kept apart from its password (credentials.py); messages name the *place*, which has none.
What comes encrypted comes from a camera whose certificate is known (certificate.py).

For people who put cameras up: who an Axis camera is (vapix/), and which are near (discovery.py).

Times: `captured_at_ms` is when the light fell on the sensor, as well as it is known, and `clock_source` says
how: the camera's own clock (RTCP), the arrival here, or the position in the medium. Which of the first two, and
that time runs evenly all the same, is decided in dating.py.
"""
