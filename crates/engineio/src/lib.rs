//! Sans-IO Engine.IO 4: packets, the open packet, sessions, heartbeat.
