"""Starts PyPI's peerjs, unmodified, as an Ambianic edge does. Its aiortc dates from before Python
3.11, which wants what is a dataclass's default to be hashable."""
import runpy

import aiortc.rtcconfiguration

aiortc.rtcconfiguration.RTCConfiguration.__hash__ = object.__hash__
runpy.run_module("peerjs.ext.http_proxy", run_name="__main__")
