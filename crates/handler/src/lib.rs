//! Event handlers: routes, extractors, arguments, dispatch.
