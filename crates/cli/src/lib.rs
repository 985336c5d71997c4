//! The sockeye command-line tool.
