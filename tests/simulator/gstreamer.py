"""A camera made of Debian's GStreamer RTSP server, which is also what Axis devices run.

Run by the system's own python3, which has its bindings: python3 gstreamer.py; it prints the address. `--port N` and
`--password WORD` are taken. Packages:
gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
gir1.2-gst-plugins-base-1.0. The encoder is openh264enc or x264enc, whichever is there.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
gi.require_version("GstRtsp", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402 - the versions have to be named before

PATH = "/axis-media/media.amp"
ENCODERS = {
    "openh264enc": "openh264enc gop-size=10 complexity=low",
    "x264enc": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10",
}


def main() -> int:
    """Serve until killed."""
    Gst.init(None)
    encoder = next((line for name, line in ENCODERS.items() if Gst.ElementFactory.find(name)), None)
    if encoder is None:
        print(f"none of {', '.join(ENCODERS)} is installed", file=sys.stderr)
        return 1
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(_option("--port") or "0")
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        "( videotestsrc is-live=true pattern=ball ! video/x-raw,width=640,height=360,framerate=25/1 ! "
        f"{encoder} ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
    )
    factory.set_shared(True)
    server.get_mount_points().add_factory(PATH, factory)
    if password := _option("--password"):
        _guard(server, factory, password)
    server.attach(None)
    print(f"ready rtsp://127.0.0.1:{server.get_bound_port()}{PATH}", flush=True)
    GLib.MainLoop().run()
    return 0


def _option(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else ""


def _guard(server: "GstRtspServer.RTSPServer", factory: "GstRtspServer.RTSPMediaFactory", password: str) -> None:
    """Let nobody in but root with this password, by digest."""
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth.add_digest("root", password, token)
    server.set_auth(auth)
    allowed = "user, media.factory.access=true, media.factory.construct=true"
    factory.add_role_from_structure(Gst.Structure.from_string(allowed)[0])


if __name__ == "__main__":
    raise SystemExit(main())
