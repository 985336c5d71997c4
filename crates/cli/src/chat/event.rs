//! What goes over the wire: requests, their replies, and what the server says by itself.
//!
//! The names of fields and variants are the protocol's.

use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use super::words::{Key, Mid, Name, RoomName, Text, made, typed};

/// What a socket asks for, or what happened to it.
#[derive(Clone, Debug)]
pub(super) enum Request {
    Hello(Hello),
    Join(Join),
    Message(Post),
    Private(Whisper),
    Typing(Typing),
    /// It is disconnected.
    Gone,
}

/// `hello`
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Hello {
    #[serde(deserialize_with = "typed")]
    pub(super) name: Option<Name>,
    #[serde(deserialize_with = "made")]
    pub(super) key: Key,
}

/// `join`
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Join {
    #[serde(deserialize_with = "typed")]
    pub(super) room: Option<RoomName>,
}

/// `message`
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Post {
    #[serde(deserialize_with = "typed")]
    pub(super) room: Option<RoomName>,
    #[serde(deserialize_with = "made")]
    pub(super) mid: Mid,
    #[serde(deserialize_with = "typed")]
    pub(super) text: Option<Text>,
}

/// `private`
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Whisper {
    #[serde(deserialize_with = "typed")]
    pub(super) to: Option<Name>,
    #[serde(deserialize_with = "made")]
    pub(super) mid: Mid,
    #[serde(deserialize_with = "typed")]
    pub(super) text: Option<Text>,
}

/// `typing`
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Typing {
    #[serde(deserialize_with = "typed")]
    pub(super) room: Option<RoomName>,
    pub(super) on: bool,
}

macro_rules! requests {
    ($($event:ident => $variant:ident)*) => {$(
        impl From<$event> for Request {
            fn from(event: $event) -> Self {
                Self::$variant(event)
            }
        }
    )*};
}

requests!(Hello => Hello Join => Join Post => Message Whisper => Private Typing => Typing);

/// The answer to a request: `{ ok: true, .. }` or `{ ok: false, error }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply(pub(super) Result<Answer, Refusal>);

impl Serialize for Reply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Granted<'a> {
            ok: bool,
            #[serde(flatten)]
            answer: &'a Answer,
        }

        #[derive(Serialize)]
        struct Refused {
            ok: bool,
            error: Refusal,
        }

        match &self.0 {
            Ok(answer) => Granted { ok: true, answer }.serialize(serializer),
            Err(error) => Refused { ok: false, error: *error }.serialize(serializer),
        }
    }
}

/// What a request that succeeded is answered with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Answer {
    /// To `hello`.
    Welcome { name: Name, people: Vec<Name>, rooms: Vec<RoomCount> },
    /// To `join`.
    Room { room: RoomName, history: Vec<Arc<Message>> },
    /// To `message` and `private`.
    Sent { at: u64 },
}

/// Why a request did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Refusal {
    BadRequest,
    HelloFirst,
    BadName,
    NameTaken,
    BadRoom,
    TooManyRooms,
    NotInRoom,
    BadText,
    NoSuchPerson,
}

/// What the server says by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum News {
    Joined { name: Name },
    Left { name: Name },
    Renamed { from: Name, to: Name },
    Rooms(Vec<RoomCount>),
    Message(Arc<Message>),
    Private { from: Name, mid: Mid, text: Text, at: u64 },
    Typing { room: RoomName, name: Name, on: bool },
    Notice { room: RoomName, kind: Kind, name: Name, at: u64 },
}

impl News {
    /// The event's name.
    pub(super) fn event(&self) -> &'static str {
        match self {
            Self::Joined { .. } => "joined",
            Self::Left { .. } => "left",
            Self::Renamed { .. } => "renamed",
            Self::Rooms(_) => "rooms",
            Self::Message(_) => "message",
            Self::Private { .. } => "private",
            Self::Typing { .. } => "typing",
            Self::Notice { .. } => "notice",
        }
    }

    /// Whether it may be dropped for who cannot be written to right now.
    pub(super) fn is_volatile(&self) -> bool {
        matches!(self, Self::Typing { .. })
    }
}

/// What somebody did to a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Joined,
    Left,
}

/// A room in the list of all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct RoomCount {
    pub(super) name: RoomName,
    pub(super) count: usize,
}

/// A message to a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Message {
    pub(super) room: RoomName,
    pub(super) mid: Mid,
    /// The author's, at that time.
    pub(super) name: Name,
    pub(super) text: Text,
    /// Milliseconds since 1970.
    pub(super) at: u64,
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;
    use crate::chat::words::Word;

    #[test]
    fn what_people_type_may_be_wrong_but_has_to_be_a_string() {
        let key = "k".repeat(16);
        let hello: Hello = from_value(json!({ "name": "", "key": key, "more": 1 })).unwrap();
        assert_eq!(hello.name, None);
        for bad in [json!({ "name": 1, "key": key }), json!({ "name": null, "key": key })] {
            from_value::<Hello>(bad).unwrap_err();
        }
        from_value::<Hello>(json!({ "key": key })).unwrap_err();
        from_value::<Typing>(json!({ "room": "lobby", "on": 1 })).unwrap_err();
    }

    #[test]
    fn what_the_page_makes_has_to_be_right() {
        from_value::<Hello>(json!({ "name": "Ann", "key": "short" })).unwrap_err();
        from_value::<Post>(json!({ "room": "lobby", "mid": "", "text": "hi" })).unwrap_err();
        from_value::<Whisper>(json!({ "to": "Ann", "mid": "a b", "text": "hi" })).unwrap_err();
        from_value::<Post>(json!({ "room": "lobby", "mid": "m", "text": "hi" })).unwrap();
    }

    #[test]
    fn replies_on_the_wire() {
        let reply = |reply| to_value(Reply(reply)).unwrap();
        assert_eq!(reply(Ok(Answer::Sent { at: 7 })), json!({ "ok": true, "at": 7 }));
        assert_eq!(
            reply(Err(Refusal::NoSuchPerson)),
            json!({ "ok": false, "error": "no-such-person" })
        );
        let name = Name::parse("Ann").unwrap();
        let rooms = vec![RoomCount { name: RoomName::lobby(), count: 1 }];
        assert_eq!(
            reply(Ok(Answer::Welcome { name: name.clone(), people: vec![name], rooms })),
            json!({
                "ok": true,
                "name": "Ann",
                "people": ["Ann"],
                "rooms": [{ "name": "lobby", "count": 1 }],
            })
        );
    }

    #[test]
    fn news_on_the_wire() {
        let (name, room) = (Name::parse("Ann").unwrap(), RoomName::lobby());
        let notice = News::Notice { room, kind: Kind::Left, name, at: 7 };
        assert_eq!(notice.event(), "notice");
        assert_eq!(
            to_value(notice).unwrap(),
            json!({ "room": "lobby", "kind": "left", "name": "Ann", "at": 7 })
        );
    }
}
