//! A cluster within one process: an adapter that calls the others.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use sockeye_server::adapter::{
    Adapter, Answers, Arguments, Delivery, Factory, Flags, Gathered, Local, Pending, Selection,
    SocketRecord,
};
use sockeye_server::{Namespace, RoomEvent, Server};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::harness::{Running, serve};

/// What joins the servers.
#[derive(Clone, Default)]
pub(crate) struct Bus(Arc<Inner>);

#[derive(Default)]
struct Inner {
    nodes: Mutex<Vec<Node>>,
    /// Who waits for other servers' acks.
    pub(crate) waiting: Mutex<Vec<Weak<dyn Answers>>>,
    /// What adapters were told of rooms.
    rooms: Mutex<Vec<String>>,
}

#[derive(Clone)]
struct Node {
    name: &'static str,
    namespace: String,
    /// `None`: it is there, and says nothing.
    local: Option<Arc<dyn Local>>,
}

impl Bus {
    /// A server of this cluster.
    pub(crate) async fn serve(&self, name: &'static str, namespace: Namespace) -> Running {
        serve(Server::builder().namespace(namespace).adapter(self.factory(name, false))).await
    }

    /// Makes the adapters of a server; `ordered` if the bus delivers to the sender, too.
    pub(crate) fn factory(&self, name: &'static str, ordered: bool) -> impl Factory + use<> {
        let bus = self.clone();
        move |namespace: &str, local: Arc<dyn Local>| -> Arc<dyn Adapter> {
            let namespace = namespace.to_owned();
            let node = Node { name, namespace: namespace.clone(), local: Some(local) };
            bus.0.nodes.lock().unwrap().push(node);
            Arc::new(Loopback { bus: bus.clone(), name, namespace, ordered })
        }
    }

    /// A server that says nothing.
    pub(crate) fn add_silent(&self, name: &'static str) {
        let node = Node { name, namespace: "/".to_owned(), local: None };
        self.0.nodes.lock().unwrap().push(node);
    }

    /// How many are waiting for acks of other servers.
    pub(crate) fn waiting(&self) -> usize {
        let waiting = self.0.waiting.lock().unwrap();
        waiting.iter().filter(|answers| answers.strong_count() > 0).count()
    }

    pub(crate) fn rooms(&self) -> Vec<String> {
        self.0.rooms.lock().unwrap().clone()
    }
}

struct Loopback {
    bus: Bus,
    name: &'static str,
    namespace: String,
    ordered: bool,
}

impl Loopback {
    fn nodes(&self, mut each: impl FnMut(&Node)) {
        let nodes = self.bus.0.nodes.lock().unwrap().clone();
        nodes.iter().filter(|node| node.namespace == self.namespace).for_each(&mut each);
    }

    fn others(&self) -> (Vec<Arc<dyn Local>>, Vec<Box<str>>) {
        let (mut others, mut silent) = (Vec::new(), Vec::new());
        self.nodes(|node| match &node.local {
            _ if node.name == self.name => {}
            Some(local) => others.push(local.clone()),
            None => silent.push(node.name.into()),
        });
        (others, silent)
    }
}

async fn await_silent(silent: &[Box<str>], timeout: Duration) {
    if !silent.is_empty() {
        tokio::time::sleep(timeout).await;
    }
}

impl Adapter for Loopback {
    fn broadcast(&self, event: Arguments, to: &Selection, flags: Flags) -> Delivery {
        assert_eq!(to.skip, None, "a slot means nothing elsewhere");
        if self.ordered {
            let Arguments { json, attachments } = event;
            let event = Arguments { json: format!("{json},\"offset\"").into(), attachments };
            self.nodes(|node| {
                if let Some(local) = &node.local {
                    local.broadcast(event.clone(), to, flags);
                }
            });
            return Delivery::ByAdapter;
        }
        self.others().0.iter().for_each(|local| local.broadcast(event.clone(), to, flags));
        Delivery::Now
    }

    fn broadcast_with_acks(
        &self,
        event: Arguments,
        to: &Selection,
        flags: Flags,
        timeout: Duration,
        answers: Arc<dyn Answers>,
    ) -> Pending<Vec<Box<str>>> {
        let (others, silent) = self.others();
        self.bus.0.waiting.lock().unwrap().push(Arc::downgrade(&answers));
        let mut asked = JoinSet::new();
        for local in others {
            let (event, answers) = (event.clone(), answers.clone());
            asked.spawn(local.broadcast_with_acks(event, to, flags, timeout, answers));
        }
        Box::pin(async move {
            let _answers = answers;
            while asked.join_next().await.is_some() {}
            await_silent(&silent, timeout).await;
            silent
        })
    }

    fn join(&self, sockets: &Selection, rooms: &[Box<str>]) {
        self.others().0.iter().for_each(|local| local.join(sockets, rooms));
    }

    fn leave(&self, sockets: &Selection, rooms: &[Box<str>]) {
        self.others().0.iter().for_each(|local| local.leave(sockets, rooms));
    }

    fn disconnect(&self, sockets: &Selection, close: bool) {
        self.others().0.iter().for_each(|local| local.disconnect(sockets, close));
    }

    fn fetch_sockets(
        &self,
        sockets: &Selection,
        timeout: Duration,
    ) -> Pending<Gathered<SocketRecord>> {
        let (others, silent) = self.others();
        let found = others.iter().flat_map(|local| local.fetch_sockets(sockets)).collect();
        Box::pin(async move {
            await_silent(&silent, timeout).await;
            Gathered { found, silent }
        })
    }

    fn server_side_emit(&self, event: Arguments) {
        self.others().0.iter().for_each(|local| local.server_side_emit(event.clone(), None));
    }

    fn server_side_emit_with_acks(
        &self,
        event: Arguments,
        timeout: Duration,
    ) -> Pending<Gathered<Arguments>> {
        let (others, silent) = self.others();
        let answers: Vec<_> = others
            .iter()
            .map(|local| {
                let (respond, answer) = oneshot::channel();
                let respond = Box::new(move |answer| drop(respond.send(answer)));
                local.server_side_emit(event.clone(), Some(respond));
                answer
            })
            .collect();
        Box::pin(async move {
            let mut found = Vec::new();
            for answer in answers {
                found.extend(answer.await.ok());
            }
            await_silent(&silent, timeout).await;
            Gathered { found, silent }
        })
    }

    fn server_count(&self) -> Pending<usize> {
        let mut count = 0;
        self.nodes(|_| count += 1);
        Box::pin(std::future::ready(count))
    }

    fn room(&self, event: RoomEvent<'_>) {
        let told = match event {
            RoomEvent::Created { room } => format!("create {room}"),
            RoomEvent::Joined { room, .. } => format!("join {room}"),
            RoomEvent::Left { room, .. } => format!("leave {room}"),
            RoomEvent::Deleted { room } => format!("delete {room}"),
        };
        self.bus.0.rooms.lock().unwrap().push(told);
    }

    fn close(&self) -> Pending<()> {
        let mut nodes = self.bus.0.nodes.lock().unwrap();
        nodes.retain(|node| node.name != self.name || node.namespace != self.namespace);
        Box::pin(std::future::ready(()))
    }
}
