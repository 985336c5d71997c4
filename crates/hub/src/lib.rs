//! Who is connected, who is in which room, and how one message reaches many.
