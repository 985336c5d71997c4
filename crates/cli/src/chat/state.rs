//! The chat as a plain machine: who is online, who is in which room, and what follows from a
//! request.
//!
//! It knows sockets by their ids and does nothing itself: a request yields a reply and
//! [`Effect`]s, to be carried out in their order, before the reply.
//!
//! Invariants: `names` holds exactly the sockets in `people`, with their folded names; a room's
//! count is the number of people who are in it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::event::{
    Answer, Hello, Join, Kind, Message, News, Post, Refusal, Reply, Request, Typing, Whisper,
};
use super::rooms::Rooms;
use super::words::{Key, Name, RoomName};

/// The public id of a Socket.IO socket.
pub(super) type SocketId = Arc<str>;

/// What is to be done with sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The socket becomes part of the audience.
    Enter { socket: SocketId, audience: Audience },
    /// The socket is not part of the audience any more.
    Leave { socket: SocketId, audience: Audience },
    /// The socket is disconnected, with its connection.
    Disconnect { socket: SocketId },
    /// The audience is told something, except one socket.
    Tell { audience: Audience, except: Option<SocketId>, news: News },
}

/// Whom news are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// Every socket that said hello.
    Everybody,
    Room(RoomName),
    One(SocketId),
}

/// The chat.
#[derive(Debug)]
pub(super) struct Chat {
    /// By folded name.
    people: BTreeMap<Arc<str>, Person>,
    /// The folded names of the sockets that said hello.
    names: HashMap<SocketId, Arc<str>>,
    rooms: Rooms,
}

#[derive(Debug)]
struct Person {
    name: Name,
    key: Key,
    room: Option<RoomName>,
    socket: SocketId,
}

type Effects = Vec<Effect>;

impl Chat {
    /// Nobody is online.
    pub(super) fn new() -> Self {
        Self { people: BTreeMap::new(), names: HashMap::new(), rooms: Rooms::new() }
    }

    /// Takes a socket's request, at `now` milliseconds since 1970, and adds what follows from it to
    /// `effects`. `None` if the request is one without a reply.
    pub(super) fn handle(
        &mut self,
        now: u64,
        socket: &SocketId,
        request: Request,
        effects: &mut Effects,
    ) -> Option<Reply> {
        let outcome = match request {
            Request::Hello(hello) => self.hello(now, socket, hello, effects),
            Request::Join(join) => self.join(now, socket, join, effects),
            Request::Message(post) => self.message(now, socket, post, effects),
            Request::Private(whisper) => self.private(now, socket, whisper, effects),
            Request::Typing(typing) => {
                self.typing(socket, typing, effects);
                return None;
            }
            Request::Gone => {
                self.gone(now, socket, effects);
                return None;
            }
        };
        Some(Reply(outcome))
    }

    fn hello(
        &mut self,
        now: u64,
        socket: &SocketId,
        Hello { name, key }: Hello,
        effects: &mut Effects,
    ) -> Result<Answer, Refusal> {
        let name = name.ok_or(Refusal::BadName)?;
        match self.names.get(socket).cloned() {
            Some(own) => self.rename(&own, name.clone(), effects)?,
            None => self.enter(now, socket, name.clone(), key, effects)?,
        }
        let people = self.people.values().map(|person| person.name.clone()).collect();
        Ok(Answer::Welcome { name, people, rooms: self.rooms.list() })
    }

    /// The first hello of a socket.
    fn enter(
        &mut self,
        now: u64,
        socket: &SocketId,
        name: Name,
        key: Key,
        effects: &mut Effects,
    ) -> Result<(), Refusal> {
        if self.people.get(name.folded()).is_some_and(|holder| holder.key != key) {
            return Err(Refusal::NameTaken);
        }
        // The same page on a newer connection: for the others, its person never left.
        let replaced = self.people.remove(name.folded());
        let is_new = replaced.is_none();
        if let Some(mut former) = replaced {
            self.names.remove(&former.socket);
            leave_room(&mut self.rooms, &mut former, now, effects);
            effects.push(Effect::Disconnect { socket: former.socket });
        }
        self.names.insert(socket.clone(), name.folded().clone());
        let person = Person { name: name.clone(), key, room: None, socket: socket.clone() };
        self.people.insert(name.folded().clone(), person);
        effects.push(Effect::Enter { socket: socket.clone(), audience: Audience::Everybody });
        if is_new {
            tell(effects, Audience::Everybody, Some(socket), News::Joined { name });
        } else {
            self.tell_rooms(effects);
        }
        Ok(())
    }

    /// A further hello of the socket whose folded name is `own`.
    fn rename(&mut self, own: &Arc<str>, name: Name, effects: &mut Effects) -> Result<(), Refusal> {
        if name.folded() != own && self.people.contains_key(name.folded()) {
            return Err(Refusal::NameTaken);
        }
        let Some(mut person) = self.people.remove(own) else { return Ok(()) };
        let from = std::mem::replace(&mut person.name, name.clone());
        self.names.insert(person.socket.clone(), name.folded().clone());
        self.people.insert(name.folded().clone(), person);
        if from != name {
            tell(effects, Audience::Everybody, None, News::Renamed { from, to: name });
        }
        Ok(())
    }

    fn join(
        &mut self,
        now: u64,
        socket: &SocketId,
        Join { room }: Join,
        effects: &mut Effects,
    ) -> Result<Answer, Refusal> {
        let Self { people, names, rooms } = self;
        let me = names.get(socket).and_then(|own| people.get_mut(own));
        let me = me.ok_or(Refusal::HelloFirst)?;
        let room = room.ok_or(Refusal::BadRoom)?;
        if me.room.as_ref() != Some(&room) {
            if !rooms.has_place_for(&room) {
                return Err(Refusal::TooManyRooms);
            }
            leave_room(rooms, me, now, effects);
            rooms.enter(&room);
            me.room = Some(room.clone());
            let audience = Audience::Room(room.clone());
            effects.push(Effect::Enter { socket: socket.clone(), audience: audience.clone() });
            let (room, name) = (room.clone(), me.name.clone());
            let notice = News::Notice { room, kind: Kind::Joined, name, at: now };
            tell(effects, audience, Some(socket), notice);
            self.tell_rooms(effects);
        }
        Ok(Answer::Room { history: self.rooms.history(&room), room })
    }

    fn message(
        &mut self,
        now: u64,
        socket: &SocketId,
        Post { room, mid, text }: Post,
        effects: &mut Effects,
    ) -> Result<Answer, Refusal> {
        let me = self.person(socket).ok_or(Refusal::HelloFirst)?;
        let room = room.filter(|room| me.room.as_ref() == Some(room));
        let room = room.ok_or(Refusal::NotInRoom)?;
        let text = text.ok_or(Refusal::BadText)?;
        if let Some(known) = self.rooms.find(&room, &mid) {
            return Ok(Answer::Sent { at: known.at });
        }
        let name = me.name.clone();
        let message = Arc::new(Message { room: room.clone(), mid, name, text, at: now });
        self.rooms.remember(message.clone());
        tell(effects, Audience::Room(room), Some(socket), News::Message(message));
        Ok(Answer::Sent { at: now })
    }

    fn private(
        &self,
        now: u64,
        socket: &SocketId,
        Whisper { to, mid, text }: Whisper,
        effects: &mut Effects,
    ) -> Result<Answer, Refusal> {
        let me = self.person(socket).ok_or(Refusal::HelloFirst)?;
        let text = text.ok_or(Refusal::BadText)?;
        let reader = to.and_then(|to| self.people.get(to.folded()));
        let reader = reader.filter(|reader| reader.socket != *socket);
        let reader = reader.ok_or(Refusal::NoSuchPerson)?;
        let news = News::Private { from: me.name.clone(), mid, text, at: now };
        tell(effects, Audience::One(reader.socket.clone()), None, news);
        Ok(Answer::Sent { at: now })
    }

    fn typing(&self, socket: &SocketId, Typing { room, on }: Typing, effects: &mut Effects) {
        let Some(me) = self.person(socket) else { return };
        let Some(room) = room.filter(|room| me.room.as_ref() == Some(room)) else { return };
        let news = News::Typing { room: room.clone(), name: me.name.clone(), on };
        tell(effects, Audience::Room(room), Some(socket), news);
    }

    /// The socket is disconnected. Nothing follows if it was replaced before.
    fn gone(&mut self, now: u64, socket: &SocketId, effects: &mut Effects) {
        let Some(own) = self.names.remove(socket) else { return };
        let Some(mut person) = self.people.remove(&own) else { return };
        leave_room(&mut self.rooms, &mut person, now, effects);
        tell(effects, Audience::Everybody, None, News::Left { name: person.name });
        self.tell_rooms(effects);
    }

    fn person(&self, socket: &SocketId) -> Option<&Person> {
        self.people.get(self.names.get(socket)?)
    }

    fn tell_rooms(&self, effects: &mut Effects) {
        tell(effects, Audience::Everybody, None, News::Rooms(self.rooms.list()));
    }
}

/// The person leaves the room they are in, if any, and who stays is told.
fn leave_room(rooms: &mut Rooms, person: &mut Person, now: u64, effects: &mut Effects) {
    let Some(room) = person.room.take() else { return };
    rooms.leave(&room);
    let (socket, audience) = (&person.socket, Audience::Room(room.clone()));
    effects.push(Effect::Leave { socket: socket.clone(), audience: audience.clone() });
    let notice = News::Notice { room, kind: Kind::Left, name: person.name.clone(), at: now };
    tell(effects, audience, Some(socket), notice);
}

fn tell(effects: &mut Effects, audience: Audience, except: Option<&SocketId>, news: News) {
    effects.push(Effect::Tell { audience, except: except.cloned(), news });
}

#[cfg(test)]
mod tests;
