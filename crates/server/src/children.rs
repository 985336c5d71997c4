//! Dynamic namespaces: who decides that there is one, and those that there are.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hashbrown::HashMap;
use sockeye_socketio::Value;

use crate::connect::Refusal;
use crate::namespace::{Handlers, Inner};
use crate::pattern::{Captures, Pattern};
use crate::server::Core;

/// Whether there is a namespace of this name for a client with this `auth`.
pub(crate) type Decide =
    dyn Fn(String, Option<Value>) -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync;

/// Which names a parent's children have.
pub(crate) enum Names {
    Pattern(Pattern),
    #[cfg(feature = "regex")]
    Regex(regex::Regex),
    Function(Box<Decide>),
}

/// What all children of one parent share.
pub(crate) struct Parent {
    pub(crate) name: Box<str>,
    pub(crate) names: Names,
    pub(crate) handlers: Arc<Handlers>,
    /// Not more: a child holds its parent.
    family: Weak<Children>,
}

/// Hears of each namespace that comes to be.
pub(crate) type NamespaceHook = dyn Fn(&str) + Send + Sync;

/// The dynamic namespaces of a server.
pub(crate) struct Children {
    pub(crate) parents: Vec<Arc<Parent>>,
    core: Arc<Core>,
    hooks: Vec<Box<NamespaceHook>>,
    children: Mutex<HashMap<Box<str>, Child>>,
}

struct Child {
    namespace: Arc<Inner>,
    /// Sockets that are in it, or being let in.
    sockets: usize,
    /// The server itself has made it, and nobody has come yet.
    unvisited: bool,
}

impl Children {
    pub(crate) fn new(
        parents: Vec<(Box<str>, Names, Handlers)>,
        hooks: Vec<Box<NamespaceHook>>,
        core: Arc<Core>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|family| {
            let parents = parents.into_iter().map(|(name, names, handlers)| {
                let (handlers, family) = (Arc::new(handlers), family.clone());
                Arc::new(Parent { name, names, handlers, family })
            });
            Self { parents: parents.collect(), core, hooks, children: Mutex::default() }
        })
    }

    pub(crate) fn find(&self, path: &str) -> Option<Arc<Inner>> {
        self.lock().get(path).map(|child| child.namespace.clone())
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// All of them, or one parent's.
    pub(crate) fn list(&self, parent: Option<&Arc<Parent>>) -> Vec<Arc<Inner>> {
        let children = self.lock();
        let namespaces = children.values().map(|child| &child.namespace);
        let of = |namespace: &&Arc<Inner>| match (parent, &namespace.parent) {
            (Some(parent), Some(of)) => Arc::ptr_eq(parent, of),
            (parent, _) => parent.is_none(),
        };
        namespaces.filter(of).cloned().collect()
    }

    /// A place in a namespace that is there, which [`Parent::leave`] gives back. `None`: it is not there.
    pub(crate) fn enter(&self, path: &str) -> Option<Result<Arc<Inner>, Refusal>> {
        let mut children = self.lock();
        let namespace = children.get_mut(path)?.enter();
        drop(children);
        Some(self.begin(namespace))
    }

    /// Takes a namespace into the cluster and has the hooks told, once: whoever enters it waits for that.
    /// Whoever cannot have it gives their place back.
    fn begin(&self, namespace: Arc<Inner>) -> Result<Arc<Inner>, Refusal> {
        if catch_unwind(AssertUnwindSafe(|| namespace.enroll())).is_err() {
            tracing::error!(
                target: "socket.io-adapter",
                namespace = &*namespace.path,
                "what makes its adapter panicked"
            );
            self.leave(&namespace);
            return Err(Refusal::new("internal error"));
        }
        namespace.told.get_or_init(|| {
            let path = &*namespace.path;
            tracing::debug!(target: "socket.io:parent-namespace", namespace = path, "comes to be");
            let told =
                catch_unwind(AssertUnwindSafe(|| self.hooks.iter().for_each(|hook| hook(path))));
            if told.is_err() {
                tracing::error!(
                target: "socket.io:parent-namespace", namespace = path, "a hook for namespaces panicked"
            );
            }
        });
        Ok(namespace)
    }

    /// A place in a namespace that comes to be by it, if it is not there.
    pub(crate) fn create(
        &self,
        path: &str,
        parent: &Arc<Parent>,
        captures: Captures,
    ) -> Result<Arc<Inner>, Refusal> {
        let mut children = self.lock();
        if let Some(namespace) = children.get_mut(path).map(Child::enter) {
            drop(children);
            return self.begin(namespace);
        }
        if children.len() >= self.core.config.max_dynamic_namespaces {
            drop(children);
            self.core.counters.namespaces_refused.count();
            tracing::warn!(
                target: "socket.io:parent-namespace",
                namespace = path,
                "refused: there are {} dynamic namespaces",
                self.core.config.max_dynamic_namespaces
            );
            return Err(Refusal::new("too many namespaces"));
        }
        let (core, parent) = (self.core.clone(), parent.clone());
        let namespace = Arc::new(Inner::child(path.into(), captures, parent, core));
        let child = Child { namespace: namespace.clone(), sockets: 1, unvisited: false };
        children.insert(path.into(), child);
        drop(children);
        self.begin(namespace)
    }

    /// A namespace that the server makes, if it is not there, where the name alone decides: it waits for its
    /// first socket. `None`: there is none of that name.
    pub(crate) fn open(&self, path: &str) -> Option<Result<Arc<Inner>, Refusal>> {
        let opened = self.parents.iter().find_map(|parent| {
            let captures = parent.named(path).ok()??;
            Some(self.create(path, parent, captures))
        })?;
        if opened.is_ok()
            && let Some(child) = self.lock().get_mut(path)
        {
            child.sockets -= 1;
            child.unvisited = child.sockets == 0;
        }
        Some(opened)
    }

    fn leave(&self, namespace: &Inner) {
        let mut children = self.lock();
        let Some(child) = children.get_mut(&*namespace.path) else { return };
        child.sockets -= 1;
        // Of one that has no adapter nobody was ever told.
        let untold = namespace.told.get().is_none();
        if child.sockets == 0 && (untold || self.core.config.cleanup_empty_namespaces) {
            let gone = match !untold && self.is_awaited(&namespace.path) {
                true => None,
                false => children.remove(&*namespace.path),
            };
            self.gone(children, gone);
        }
    }

    /// Whether clients may come back to it, for which what is emitted there is kept.
    fn is_awaited(&self, path: &str) -> bool {
        self.core.kept.as_ref().is_some_and(|kept| kept.log.awaits(path))
    }

    /// Removes those to which clients might have come back and cannot any more. To be called now and then.
    pub(crate) fn sweep(&self) {
        if !self.core.config.cleanup_empty_namespaces {
            return;
        }
        let mut children = self.lock();
        let is_awaited = |child: &Child| child.unvisited || self.is_awaited(&child.namespace.path);
        let over = |child: &Child| child.sockets == 0 && !is_awaited(child);
        let gone: Vec<_> = children.extract_if(|_, child| over(child)).collect();
        self.gone(children, gone.into_iter().map(|(_, child)| child));
    }

    fn gone(
        &self,
        mut children: MutexGuard<'_, HashMap<Box<str>, Child>>,
        gone: impl IntoIterator<Item = Child>,
    ) {
        if children.capacity() > 64 && children.len() < children.capacity() / 8 {
            let len = children.len();
            children.shrink_to(2 * len);
        }
        drop(children);
        for Child { namespace, .. } in gone {
            tracing::debug!(
                target: "socket.io:parent-namespace", namespace = &*namespace.path, "is gone: nobody is in it"
            );
            self.core.close_adapter(&namespace);
        }
    }

    /// Makes the namespaces to which clients of a former process may come back, where a name alone decides.
    pub(crate) fn revive(&self, paths: impl Iterator<Item = Arc<str>>) {
        for path in paths {
            let named = self.parents.iter().find_map(|parent| match parent.named(&path) {
                Ok(captures) => Some((parent, Some(captures?))),
                Err(_) => Some((parent, None)),
            });
            if let Some((parent, Some(captures))) = named
                && let Ok(namespace) = self.create(&path, parent, captures)
            {
                self.leave(&namespace);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Child>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Child {
    /// A further socket comes.
    fn enter(&mut self) -> Arc<Inner> {
        self.sockets += 1;
        self.unvisited = false;
        self.namespace.clone()
    }
}

impl Parent {
    /// A socket has left a child: the last one takes it along.
    pub(crate) fn leave(&self, namespace: &Inner) {
        if let Some(family) = self.family.upgrade() {
            family.leave(namespace);
        }
    }

    /// Whether a child may have this name.
    pub(crate) async fn takes(&self, path: &str, auth: Option<&str>) -> Option<Captures> {
        match self.named(path) {
            Ok(captures) => captures,
            Err(decide) => {
                let auth = auth.and_then(|auth| sockeye_socketio::decode_args(auth, &[]).ok());
                decide(path.to_owned(), auth).await.then(Captures::default)
            }
        }
    }

    /// What the name alone says, or who decides.
    fn named(&self, path: &str) -> Result<Option<Captures>, &Decide> {
        match &self.names {
            Names::Pattern(pattern) => Ok(pattern.captures(path)),
            #[cfg(feature = "regex")]
            Names::Regex(regex) => Ok(regex.captures(path).map(|found| {
                let groups =
                    regex.capture_names().enumerate().skip(1).filter_map(|(index, name)| {
                        let name = name.map_or_else(|| index.to_string(), str::to_owned);
                        found.get(index).map(|group| (name.into(), group.as_str().into()))
                    });
                groups.collect()
            })),
            Names::Function(decide) => Err(&**decide),
        }
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(pattern) => pattern.fmt(f),
            #[cfg(feature = "regex")]
            Self::Regex(regex) => regex.fmt(f),
            Self::Function(_) => f.write_str("Function(..)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn children() -> Arc<Children> {
        let core = Arc::new(Core::new(Config::default(), None, None, None));
        let names = Names::Pattern(Pattern::parse("/{n}").expect("a pattern"));
        Children::new(vec![("/{n}".into(), names, Handlers::default())], Vec::new(), core)
    }

    #[test]
    fn what_the_server_made_waits_for_its_first_socket() {
        let children = children();
        let namespace = children.open("/1").expect("a name").expect("there is room");
        children.sweep();
        assert!(Arc::ptr_eq(&children.find("/1").expect("it stays"), &namespace));
        children.enter("/1").expect("it is there").expect("it has an adapter");
        children.open("/1").expect("a name").expect("it is there");
        namespace.left();
        assert_eq!(children.len(), 0);
    }

    #[test]
    fn the_table_gives_its_memory_back() {
        let children = children();
        let parent = &children.parents[0];
        let create = |n: usize| children.create(&format!("/{n}"), parent, Captures::default());
        let all: Vec<_> = (0..2000).map(|n| create(n).expect("there is room")).collect();
        assert!(children.lock().capacity() >= 2000);
        all.iter().for_each(|namespace| namespace.left());
        assert_eq!(children.len(), 0);
        assert!(children.lock().capacity() <= 128);
    }
}
