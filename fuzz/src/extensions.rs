//! The negotiation of permessage-deflate: no header makes it panic, nobody gets more than was
//! offered or is granted, and both ends agree.
//!
//! ```text
//! u8 u8    the client's configuration, the server's: bits 0 and 1 takeover of client and server,
//! u8 u8    then the windows of both, in both
//! ..       values of Sec-WebSocket-Extensions, a line each
//! ```

use sockeye_websocket::deflate::{
    Answer, Compression, Config, Context, Params, WindowBits, answer, judge_answer, offer,
};

use crate::Choices;

/// See the [module](self).
pub fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let ours = config(choices.byte(), choices.byte());
    let theirs = config(choices.byte(), choices.byte());
    let values: Vec<&[u8]> = choices.rest().split(|&byte| byte == b'\n').collect();

    if let Some(answer) = answer(values.iter().copied(), &theirs) {
        check_answer(&answer, &theirs);
    }
    if let Ok(Some(params)) = judge_answer(values.iter().copied(), Some(&ours)) {
        check_within(&params, &ours);
    }
    // What was not offered, nobody may accept.
    assert!(!matches!(judge_answer(values, None), Ok(Some(_))));

    // Whatever both are configured to, they come to an agreement.
    let offered = offer(&ours);
    let answer = answer([offered.as_bytes()], &theirs).expect("what we offer, we accept");
    check_answer(&answer, &theirs);
    let agreed = judge_answer([answer.to_string().as_bytes()], Some(&ours));
    assert_eq!(agreed, Ok(Some(answer.params())), "{offered:?} was answered by {answer}");
    check_within(&answer.params(), &ours);
    let without = answer.without_takeover();
    let agreed = judge_answer([without.to_string().as_bytes()], Some(&ours));
    assert_eq!(agreed, Ok(Some(without.params())), "{offered:?} was answered by {without}");
    assert!(!without.params().client.takeover && !without.params().server.takeover);
}

fn config(takeover: u8, windows: u8) -> Config {
    let context = |takeover, bits: u8| Context {
        takeover,
        window: WindowBits::new(8 + bits % 8).expect("8 to 15"),
    };
    Config {
        client: context(takeover & 1 != 0, windows),
        server: context(takeover & 2 != 0, windows >> 4),
        compression: Compression::default(),
    }
}

/// The server does no more than its configuration says, and its answer means to a client what it
/// means to itself.
fn check_answer(answer: &Answer, config: &Config) {
    let params = answer.params();
    assert!(!params.server.takeover || config.server.takeover);
    assert!(!params.client.takeover || config.client.takeover);
    assert!(params.server.window <= config.server.window);
    let any = Context { takeover: true, window: WindowBits::MAX };
    let any = Config { client: any, server: any, ..Config::default() };
    let judged = judge_answer([answer.to_string().as_bytes()], Some(&any));
    assert_eq!(judged, Ok(Some(params)), "the answer is {answer}");
}

/// A client's configuration allows this.
fn check_within(params: &Params, config: &Config) {
    for (agreed, allowed) in [(params.client, config.client), (params.server, config.server)] {
        assert!(!agreed.takeover || allowed.takeover);
        assert!(agreed.window <= allowed.window);
    }
}
