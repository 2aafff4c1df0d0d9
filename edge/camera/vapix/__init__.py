"""What an Axis camera can be asked over HTTP (VAPIX): who it is, whether it is ready, its clock, a picture.

    device (where it is) -> client (what is asked) -> door (httpx, the login, the limits) -> answers (what came)

`stream` writes the addresses of its streams and asks nobody. Only a person who looks at a camera (`edge camera
probe`) needs the rest: to see, `edge watch` needs the stream alone.

Rules: one login a call and, once it was refused, none any more, since twenty failures in a second block this box
at the camera for ten. Digest over HTTP; Basic over TLS only, and only where nothing better is offered. No redirect
is followed. Every answer has a limit in bytes and in seconds. A certificate is checked, or is the very one that
was named. What a camera says of itself is not believed to be printable.
"""
