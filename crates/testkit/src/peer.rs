//! A peer that says exactly what it is told.
