"""The socket in front of `placement.wire`: HTTP, signatures, the time that a world lives in."""
