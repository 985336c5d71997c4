//! Sans-IO Socket.IO 5: packets, arguments, attachments, namespaces, acks.
