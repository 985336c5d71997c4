//! What waits to be written to one connection: bytes counted, limits, policies, a waker.
