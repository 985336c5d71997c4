//! PROTOCOL.md, rule by rule.

use super::super::event::RoomCount;
use super::super::words::{Mid, Text, Word};
use super::*;

const EVERYBODY: Audience = Audience::Everybody;

/// A chat, and the hour.
struct Scene {
    chat: Chat,
    now: u64,
}

type Outcome = (Result<Answer, Refusal>, Vec<Effect>);

impl Scene {
    fn new() -> Self {
        Self { chat: Chat::new(), now: 1000 }
    }

    fn handle(&mut self, from: &str, request: Request) -> (Option<Reply>, Vec<Effect>) {
        self.now += 1;
        let mut effects = Vec::new();
        let reply = self.chat.handle(self.now, &from.into(), request, &mut effects);
        (reply, effects)
    }

    fn ask(&mut self, from: &str, request: impl Into<Request>) -> Outcome {
        let (reply, effects) = self.handle(from, request.into());
        (reply.unwrap().0, effects)
    }

    fn hello_with(&mut self, from: &str, name: &str, key: char) -> Outcome {
        let key = Key::parse(&key.to_string().repeat(16)).unwrap();
        self.ask(from, Hello { name: Name::parse(name), key })
    }

    /// Says hello with a key that belongs to the socket.
    fn hello(&mut self, from: &str, person: &str) -> Outcome {
        self.hello_with(from, person, from.chars().next().unwrap())
    }

    fn join(&mut self, from: &str, name: &str) -> Outcome {
        self.ask(from, Join { room: RoomName::parse(name) })
    }

    fn post(&mut self, from: &str, to: &str, mid: &str, text: &str) -> Outcome {
        let mid = Mid::parse(mid).unwrap();
        self.ask(from, Post { room: RoomName::parse(to), mid, text: Text::parse(text) })
    }

    fn whisper(&mut self, from: &str, to: &str, text: &str) -> Outcome {
        let mid = Mid::parse("m").unwrap();
        self.ask(from, Whisper { to: Name::parse(to), mid, text: Text::parse(text) })
    }

    fn typing(&mut self, from: &str, name: &str) -> Vec<Effect> {
        let (reply, effects) =
            self.handle(from, Typing { room: RoomName::parse(name), on: true }.into());
        assert_eq!(reply, None);
        effects
    }

    fn gone(&mut self, from: &str) -> Vec<Effect> {
        let (reply, effects) = self.handle(from, Request::Gone);
        assert_eq!(reply, None);
        effects
    }

    /// Ann on socket `a` and Ben on socket `b`, both in the lobby.
    fn ann_and_ben() -> Self {
        let mut scene = Self::new();
        for (socket, name) in [("a", "Ann"), ("b", "Ben")] {
            scene.hello(socket, name).0.unwrap();
            scene.join(socket, "lobby").0.unwrap();
        }
        scene
    }

    /// Texts of a room's history, as who joins it gets them.
    fn history(&mut self, from: &str, name: &str) -> Vec<Arc<Message>> {
        match self.join(from, name).0 {
            Ok(Answer::Room { history, .. }) => history,
            other => panic!("{other:?}"),
        }
    }
}

fn name(name: &str) -> Name {
    Name::parse(name).unwrap()
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn audience(name: &str) -> Audience {
    Audience::Room(room(name))
}

fn tell(audience: Audience, news: News) -> Effect {
    Effect::Tell { audience, except: None, news }
}

fn tell_but(audience: Audience, socket: &str, news: News) -> Effect {
    Effect::Tell { audience, except: Some(socket.into()), news }
}

fn enter(socket: &str, audience: Audience) -> Effect {
    Effect::Enter { socket: socket.into(), audience }
}

fn leave(socket: &str, audience: Audience) -> Effect {
    Effect::Leave { socket: socket.into(), audience }
}

fn notice(kind: Kind, to: &str, who: &str, at: u64) -> News {
    News::Notice { room: room(to), kind, name: name(who), at }
}

fn counts(rooms: &[(&str, usize)]) -> Vec<RoomCount> {
    rooms.iter().map(|&(name, count)| RoomCount { name: room(name), count }).collect()
}

#[test]
fn the_first_hello_is_told_to_everybody_else() {
    let mut scene = Scene::new();
    let (answer, effects) = scene.hello("a", " Ann ");
    let rooms = counts(&[("lobby", 0)]);
    let people = vec![name("Ann")];
    assert_eq!(answer, Ok(Answer::Welcome { name: name("Ann"), people, rooms: rooms.clone() }));
    let joined = News::Joined { name: name("Ann") };
    assert_eq!(effects, [enter("a", EVERYBODY), tell_but(EVERYBODY, "a", joined)]);

    let (answer, _) = scene.hello("b", "Ben");
    let people = vec![name("Ann"), name("Ben")];
    assert_eq!(answer, Ok(Answer::Welcome { name: name("Ben"), people, rooms }));
}

#[test]
fn a_name_is_held_by_one_whatever_its_case() {
    let mut scene = Scene::ann_and_ben();
    assert_eq!(scene.hello("c", "ANN"), (Err(Refusal::NameTaken), vec![]));
    assert_eq!(scene.hello("c", "a\nb"), (Err(Refusal::BadName), vec![]));
    assert_eq!(scene.hello("b", "ann"), (Err(Refusal::NameTaken), vec![]));
    assert_eq!(scene.join("c", "lobby").0, Err(Refusal::HelloFirst));
}

#[test]
fn the_same_key_replaces_the_older_socket() {
    let mut scene = Scene::ann_and_ben();
    let (answer, effects) = scene.hello_with("c", "Ann", 'a');
    let rooms = counts(&[("lobby", 1)]);
    let people = vec![name("Ann"), name("Ben")];
    assert_eq!(answer, Ok(Answer::Welcome { name: name("Ann"), people, rooms: rooms.clone() }));
    assert_eq!(
        effects,
        [
            leave("a", audience("lobby")),
            tell_but(audience("lobby"), "a", notice(Kind::Left, "lobby", "Ann", scene.now)),
            Effect::Disconnect { socket: "a".into() },
            enter("c", EVERYBODY),
            tell(EVERYBODY, News::Rooms(rooms)),
        ]
    );
    assert_eq!(scene.gone("a"), [], "the end of a replaced socket is nobody's leaving");
    assert_eq!(scene.typing("a", "lobby"), [], "a replaced socket is nobody");
    assert_eq!(scene.whisper("b", "Ann", "hi").1.len(), 1, "Ann is online all the time");
}

#[test]
fn a_further_hello_renames() {
    let mut scene = Scene::ann_and_ben();
    let (answer, effects) = scene.hello("a", "Anna");
    let people = vec![name("Anna"), name("Ben")];
    let rooms = counts(&[("lobby", 2)]);
    assert_eq!(answer, Ok(Answer::Welcome { name: name("Anna"), people, rooms }));
    let renamed = News::Renamed { from: name("Ann"), to: name("Anna") };
    assert_eq!(effects, [tell(EVERYBODY, renamed)]);

    assert_eq!(scene.hello("a", "Anna").1, [], "the same name is no change");
    let renamed = News::Renamed { from: name("Anna"), to: name("ANNA") };
    assert_eq!(scene.hello("a", "ANNA").1, [tell(EVERYBODY, renamed)], "its case is one");
    assert!(scene.hello("c", "Ann").0.is_ok(), "the former name is free");
}

#[test]
fn joining_leaves_the_former_room() {
    let mut scene = Scene::ann_and_ben();
    let (answer, effects) = scene.join("a", "harbour");
    assert_eq!(answer, Ok(Answer::Room { room: room("harbour"), history: vec![] }));
    assert_eq!(
        effects,
        [
            leave("a", audience("lobby")),
            tell_but(audience("lobby"), "a", notice(Kind::Left, "lobby", "Ann", scene.now)),
            enter("a", audience("harbour")),
            tell_but(audience("harbour"), "a", notice(Kind::Joined, "harbour", "Ann", scene.now)),
            tell(EVERYBODY, News::Rooms(counts(&[("lobby", 1), ("harbour", 1)]))),
        ]
    );
    let (answer, effects) = scene.join("a", "harbour");
    assert!(answer.is_ok());
    assert_eq!(effects, [], "the room one is in");
}

#[test]
fn rooms_are_forgotten_with_their_history_but_not_the_lobby() {
    let mut scene = Scene::ann_and_ben();
    scene.post("a", "lobby", "1", "to the lobby").0.unwrap();
    for person in ["a", "b"] {
        scene.join(person, "harbour").0.unwrap();
    }
    scene.post("a", "harbour", "2", "to the harbour").0.unwrap();
    assert_eq!(scene.history("b", "harbour").len(), 1);
    assert_eq!(scene.history("b", "lobby").len(), 1);
    let (_, effects) = scene.join("a", "lobby");
    assert_eq!(
        effects.last(),
        Some(&tell(EVERYBODY, News::Rooms(counts(&[("lobby", 2)])))),
        "nobody is in the harbour"
    );
    assert_eq!(scene.history("a", "harbour"), []);
}

#[test]
fn there_are_at_most_fifty_rooms_listed_by_name() {
    let mut scene = Scene::new();
    for n in 0..50 {
        let socket = format!("s{n}");
        scene.hello(&socket, &socket).0.unwrap();
        let (answer, effects) = scene.join(&socket, &format!("r{n}"));
        if n == 49 {
            assert_eq!((answer, effects), (Err(Refusal::TooManyRooms), vec![]));
        }
    }
    assert_eq!(scene.join("s49", "Lobby"), (Err(Refusal::BadRoom), vec![]));
    let Some(Effect::Tell { news: News::Rooms(rooms), .. }) = scene.join("s49", "r0").1.pop()
    else {
        panic!("no rooms")
    };
    assert_eq!(rooms.len(), 50);
    assert_eq!(rooms[..4], counts(&[("lobby", 0), ("r0", 2), ("r1", 1), ("r10", 1)]));
    assert_eq!(scene.join("s1", "new").0, Err(Refusal::TooManyRooms), "though r1 would go");
}

#[test]
fn a_message_goes_to_the_others_in_the_room_and_into_its_history() {
    let mut scene = Scene::ann_and_ben();
    let (answer, effects) = scene.post("a", "lobby", "m1", " hi ");
    let at = scene.now;
    assert_eq!(answer, Ok(Answer::Sent { at }));
    let message = Arc::new(Message {
        room: room("lobby"),
        mid: Mid::parse("m1").unwrap(),
        name: name("Ann"),
        text: Text::parse("hi").unwrap(),
        at,
    });
    assert_eq!(effects, [tell_but(audience("lobby"), "a", News::Message(message.clone()))]);

    assert_eq!(scene.post("b", "lobby", "m1", "other"), (Ok(Answer::Sent { at }), vec![]));
    scene.hello("a", "Anna").0.unwrap();
    assert_eq!(scene.history("b", "lobby"), [message], "the name is the one at that time");
}

#[test]
fn a_message_is_refused_in_the_order_of_the_errors() {
    let mut scene = Scene::ann_and_ben();
    assert_eq!(scene.post("c", "harbour", "m", ""), (Err(Refusal::HelloFirst), vec![]));
    assert_eq!(scene.post("a", "harbour", "m", ""), (Err(Refusal::NotInRoom), vec![]));
    assert_eq!(scene.post("a", "No Room", "m", ""), (Err(Refusal::NotInRoom), vec![]));
    assert_eq!(scene.post("a", "lobby", "m", ""), (Err(Refusal::BadText), vec![]));
    scene.hello("c", "Cy").0.unwrap();
    assert_eq!(scene.post("c", "lobby", "m", "hi"), (Err(Refusal::NotInRoom), vec![]));
    assert_eq!(scene.post("c", "No Room", "m", "hi"), (Err(Refusal::NotInRoom), vec![]));
}

#[test]
fn a_history_holds_the_last_fifty() {
    let mut scene = Scene::ann_and_ben();
    for n in 0..51 {
        scene.post("a", "lobby", &n.to_string(), "hi").0.unwrap();
    }
    let history = scene.history("b", "lobby");
    assert_eq!(history.len(), 50);
    assert_eq!(history[0].mid, Mid::parse("1").unwrap());
    assert_eq!(history[49].mid, Mid::parse("50").unwrap());
    assert_eq!(scene.post("a", "lobby", "0", "hi").1.len(), 1, "the first is not known any more");
}

#[test]
fn a_private_message_goes_to_one() {
    let mut scene = Scene::ann_and_ben();
    let (answer, effects) = scene.whisper("a", " BEN", "psst");
    let (mid, text) = (Mid::parse("m").unwrap(), Text::parse("psst").unwrap());
    let private = News::Private { from: name("Ann"), mid, text, at: scene.now };
    assert_eq!(answer, Ok(Answer::Sent { at: scene.now }));
    assert_eq!(effects, [tell(Audience::One("b".into()), private)]);

    assert_eq!(scene.whisper("c", "Nobody", ""), (Err(Refusal::HelloFirst), vec![]));
    assert_eq!(scene.whisper("a", "Nobody", ""), (Err(Refusal::BadText), vec![]));
    for to in ["Nobody", "", "ann"] {
        assert_eq!(scene.whisper("a", to, "hi"), (Err(Refusal::NoSuchPerson), vec![]), "{to}");
    }
}

#[test]
fn typing_is_told_to_the_others_in_the_room() {
    let mut scene = Scene::ann_and_ben();
    let typing = News::Typing { room: room("lobby"), name: name("Ann"), on: true };
    assert!(typing.is_volatile());
    assert_eq!(scene.typing("a", "lobby"), [tell_but(audience("lobby"), "a", typing)]);
    assert_eq!(scene.typing("a", "harbour"), []);
    assert_eq!(scene.typing("c", "lobby"), []);
    scene.hello("c", "Cy").0.unwrap();
    assert_eq!(scene.typing("c", "lobby"), []);
    assert_eq!(scene.typing("c", "No Room"), []);
}

#[test]
fn a_disconnection_is_told_to_the_room_and_to_everybody() {
    let mut scene = Scene::ann_and_ben();
    let effects = scene.gone("a");
    assert_eq!(
        effects,
        [
            leave("a", audience("lobby")),
            tell_but(audience("lobby"), "a", notice(Kind::Left, "lobby", "Ann", scene.now)),
            tell(EVERYBODY, News::Left { name: name("Ann") }),
            tell(EVERYBODY, News::Rooms(counts(&[("lobby", 1)]))),
        ]
    );
    assert_eq!(scene.gone("a"), []);
    assert!(scene.hello("c", "Ann").0.is_ok(), "the name is free");
    assert_eq!(scene.gone("never said hello"), []);
}
