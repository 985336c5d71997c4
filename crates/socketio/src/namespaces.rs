//! In which namespaces a connection is.

use alloc::{boxed::Box, vec::Vec};

/// How a connection stands to one namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// The client sent CONNECT and has no answer yet.
    Connecting,
    /// The client is in.
    Joined,
    /// The server said no, or disconnected the socket, and the client has not asked again. What it
    /// had already sent by then still arrives.
    Left,
}

/// The memberships of one connection. Nearly always this is `/` alone, which costs one byte.
#[derive(Debug, Default)]
pub(crate) struct Namespaces {
    root: Option<Membership>,
    others: Vec<(Box<str>, Membership)>,
}

impl Namespaces {
    pub(crate) fn get(&self, namespace: &str) -> Option<Membership> {
        if namespace == "/" {
            return self.root;
        }
        self.others.iter().find(|(name, _)| **name == *namespace).map(|(_, state)| *state)
    }

    /// Changes the membership of a namespace that has one in the state `from`.
    pub(crate) fn change(&mut self, namespace: &str, from: Membership, to: Membership) -> bool {
        let state = if namespace == "/" {
            self.root.as_mut()
        } else {
            self.others.iter_mut().find(|(name, _)| **name == *namespace).map(|(_, state)| state)
        };
        match state {
            Some(state) if *state == from => {
                *state = to;
                true
            }
            _ => false,
        }
    }

    /// Adds a namespace that has no membership. `false`: there are `max` already, none of which can
    /// be forgotten.
    pub(crate) fn add(&mut self, namespace: &str, state: Membership, max: usize) -> bool {
        if self.len() >= max && !self.forget_one() {
            return false;
        }
        if namespace == "/" {
            self.root = Some(state);
        } else {
            // Few connections have more than one: no room for three that never come.
            self.others.reserve_exact(1);
            self.others.push((namespace.into(), state));
        }
        true
    }

    pub(crate) fn remove(&mut self, namespace: &str) {
        if namespace == "/" {
            self.root = None;
        } else {
            self.others.retain(|(name, _)| **name != *namespace);
        }
    }

    fn len(&self) -> usize {
        usize::from(self.root.is_some()) + self.others.len()
    }

    /// Makes room at the cost of the namespace that was left the longest time ago.
    fn forget_one(&mut self) -> bool {
        if self.root == Some(Membership::Left) {
            self.root = None;
            return true;
        }
        let left = self.others.iter().position(|(_, state)| *state == Membership::Left);
        left.map(|at| self.others.remove(at)).is_some()
    }
}
