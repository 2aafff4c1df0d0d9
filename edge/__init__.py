"""The device: what runs on the box beside a camera, and the two libraries it shares with the centre.

One face, end to end:

    camera -> Frame -> detect -> track -> best shot -> align -> embed -> fuse -> search -> judge -> outbox

in the process `edge watch`, which sees faces and has no route to the network beyond the camera;

    outbox -> link -> the centre

in the process `edge link`, which has the network and never a frame, a face or a template in the clear.
The outbox, one SQLite file, is the only seam between them.

Words: a *probe* is the face seen, a *reference* the enrolled image, a *template* an embedding of either
(a unit vector), the *gallery* the reference templates, a *track* one pass of one person, a *candidate* a
track whose fused template came near enough to a reference that the centre should look.

Arrows, checked by import-linter (setup.cfg): cli > service > config > pipeline | link > rooms > judges >
faces | wire > errors.
"""

import os

# ONNX Runtime's published wheels note every process that loads them under ~/.cache, to be sent to their maker
# (seen with 1.32). Said before anything can import it, hence code in a map.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
