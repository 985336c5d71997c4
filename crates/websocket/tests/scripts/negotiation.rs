//! Offers of permessage-deflate and their answers (RFC 7692 §7.1, RFC 6455 §9.1).

use std::sync::Arc;

use sockeye_websocket::{
    Role,
    deflate::{
        AnswerError, Budget, Compression, Config, Context, Parameter, Params, WindowBits, answer,
        judge_answer, offer,
    },
};

use AnswerError::{
    AcceptedTwice, Malformed, NotOffered, ParameterMissing, ParameterRepeated, ParameterUnknown,
    ValueInvalid, WindowTooLarge,
};
use Parameter::{
    ClientMaxWindowBits, ClientNoContextTakeover, ServerMaxWindowBits, ServerNoContextTakeover,
};

fn context(takeover: bool, bits: u8) -> Context {
    Context { takeover, window: WindowBits::new(bits).expect("8 to 15") }
}

fn config(client: Context, server: Context) -> Config {
    Config { client, server, ..Config::default() }
}

/// What allows everything, as many servers do.
fn generous() -> Config {
    config(context(true, 15), context(true, 15))
}

fn values<'a>(values: &'a [&str]) -> impl Iterator<Item = &'a [u8]> {
    values.iter().map(|value| value.as_bytes())
}

/// The answer to a request with these headers: its header, and how client and server compress.
#[track_caller]
fn answered(headers: &[&str], config: &Config, expected: &str, client: Context, server: Context) {
    let answer = answer(values(headers), config).unwrap_or_else(|| panic!("{headers:?} declined"));
    assert_eq!(answer.to_string(), expected, "{headers:?}");
    assert_eq!(answer.params(), Params { client, server }, "{headers:?}");
}

#[track_caller]
fn declined(headers: &[&str]) {
    for config in [Config::default(), generous()] {
        assert_eq!(answer(values(headers), &config), None, "{headers:?}");
    }
}

#[test]
fn the_defaults() {
    let config = Config::default();
    assert_eq!(config.client, context(false, 15));
    assert_eq!(config.server, context(false, 15));
    assert_eq!(config.compression, Compression { threshold: 1024, level: 1, mem_level: 6 });
}

/// What is sent by those whom most connections come from.
#[test]
fn clients_of_this_world() {
    const NEITHER: &str =
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let off = context(false, 15);
    let on = context(true, 15);
    let small = config(context(true, 12), context(true, 11));
    for (name, header, generously, sparingly, smaller, windows) in [
        (
            "Chromium, npm ws, Autobahn 13",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate",
            NEITHER,
            "permessage-deflate; server_max_window_bits=11; client_max_window_bits=12",
            (12, 11),
        ),
        (
            "Firefox, Safari, Autobahn 12",
            "permessage-deflate",
            "permessage-deflate",
            NEITHER,
            "permessage-deflate; server_max_window_bits=11",
            (15, 11),
        ),
    ] {
        answered(&[header], &generous(), generously, on, on);
        answered(&[header], &Config::default(), sparingly, off, off);
        let (client, server) = windows;
        answered(&[header], &small, smaller, context(true, client), context(true, server));
        // A tiny window is never answered unasked.
        assert!(!generously.contains("bits") && !sparingly.contains("bits"), "{name}");
    }
    // What old versions of Safari speak is something else.
    declined(&["x-webkit-deflate-frame"]);
    // npm ws with options, and the .NET client.
    answered(
        &["permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
           server_max_window_bits=10; client_max_window_bits=11"],
        &generous(),
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
         server_max_window_bits=10; client_max_window_bits=11",
        context(false, 11),
        context(false, 10),
    );
}

/// RFC 7692 §7.1.3.
#[test]
fn the_examples_of_rfc_7692_section_7_1_3() {
    let offers = ["permessage-deflate"];
    answered(&offers, &generous(), "permessage-deflate", context(true, 15), context(true, 15));

    let offers = ["permessage-deflate; client_max_window_bits; server_max_window_bits=10"];
    answered(
        &offers,
        &generous(),
        "permessage-deflate; server_max_window_bits=10",
        context(true, 15),
        context(true, 10),
    );

    let offers = ["permessage-deflate; client_max_window_bits; server_max_window_bits=10, \
                   permessage-deflate; client_max_window_bits"];
    answered(
        &offers,
        &generous(),
        "permessage-deflate; server_max_window_bits=10",
        context(true, 15),
        context(true, 10),
    );
}

#[test]
fn each_parameter_of_an_offer() {
    for (params, expected, client, server) in [
        ("server_no_context_takeover", "server_no_context_takeover", (true, 15), (false, 15)),
        ("client_no_context_takeover", "client_no_context_takeover", (false, 15), (true, 15)),
        ("server_max_window_bits=15", "server_max_window_bits=15", (true, 15), (true, 15)),
        ("server_max_window_bits=9", "server_max_window_bits=9", (true, 15), (true, 9)),
        ("server_max_window_bits=8", "server_max_window_bits=8", (true, 15), (true, 8)),
        ("client_max_window_bits=15", "client_max_window_bits=15", (true, 15), (true, 15)),
        ("client_max_window_bits=8", "client_max_window_bits=8", (true, 8), (true, 15)),
        // Quoted, in any case, and with white space.
        ("server_max_window_bits=\"10\"", "server_max_window_bits=10", (true, 15), (true, 10)),
        ("server_max_window_bits = \"1\\0\"", "server_max_window_bits=10", (true, 15), (true, 10)),
        ("Client_No_Context_Takeover ", "client_no_context_takeover", (false, 15), (true, 15)),
    ] {
        answered(
            &[&format!("permessage-deflate;{params}")],
            &generous(),
            &format!("permessage-deflate; {expected}"),
            context(client.0, client.1),
            context(server.0, server.1),
        );
    }
}

#[test]
fn the_smaller_window_wins() {
    for (wanted, offered, agreed) in [(10, 12, 10), (12, 10, 10), (8, 15, 8), (15, 8, 8)] {
        answered(
            &[&format!(
                "permessage-deflate; server_max_window_bits={offered}; \
                        client_max_window_bits={offered}"
            )],
            &config(context(true, wanted), context(true, wanted)),
            &format!(
                "permessage-deflate; server_max_window_bits={agreed}; \
                      client_max_window_bits={agreed}"
            ),
            context(true, agreed),
            context(true, agreed),
        );
    }
}

#[test]
fn the_first_valid_offer_is_taken() {
    let invalid = [
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_no_context_takeover=true",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=08",
        "permessage-deflate; server_max_window_bits=010",
        "permessage-deflate; server_max_window_bits=-9",
        "permessage-deflate; server_max_window_bits=+9",
        "permessage-deflate; server_max_window_bits=9.0",
        "permessage-deflate; server_max_window_bits=\" 9\"",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
        "permessage-deflate; client_max_window_bits=0",
        "permessage-deflate; client_max_window_bits=100",
        "permessage-deflate; client_max_window_bits=nine",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=9",
        "permessage-deflate; unknown",
        "permessage-deflate;",
        "permessage-deflate; =9",
        "permessage-deflate server_no_context_takeover",
        "permessage-bzip2; client_max_window_bits",
        "x-webkit-deflate-frame",
        "unknown; server_max_window_bits=\"9, permessage-deflate\"",
        "",
        " , ,",
    ];
    declined(&[]);
    declined(&invalid);
    let good = "permessage-deflate; server_max_window_bits=10";
    let second = "permessage-deflate; server_max_window_bits=11";
    for header in invalid {
        declined(&[header]);
        let list = format!("{header}, {good}, {second}");
        for headers in [&[header, good, second][..], &[&list]] {
            answered(headers, &generous(), good, context(true, 15), context(true, 10));
        }
    }
}

#[test]
fn a_budget_that_is_used_up_means_no_takeover() {
    let config = generous();
    let compression = &config.compression;
    let offer = || answer(values(&["permessage-deflate; server_max_window_bits=9"]), &config);
    let cost = compression.compressor_size(WindowBits::new(9).unwrap()) + 32 * 1024;
    assert_eq!(offer().unwrap().params().memory(Role::Server, compression), cost);
    let budget = Arc::new(Budget::new(2 * cost - 1));

    let (first, grant) = offer().unwrap().within(&budget, compression);
    assert_eq!(first.to_string(), "permessage-deflate; server_max_window_bits=9");
    assert_eq!(budget.used(), cost);
    let (second, none) = offer().unwrap().within(&budget, compression);
    assert_eq!(
        second.to_string(),
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
         server_max_window_bits=9"
    );
    assert!(none.is_none());
    assert_eq!(second.params().memory(Role::Server, compression), 0);
    drop(grant);
    assert_eq!(budget.used(), 0);
    // Who takes no context over costs nothing.
    let (_, none) = offer().unwrap().without_takeover().within(&budget, compression);
    assert!(none.is_none());
}

#[test]
fn what_a_client_offers() {
    for (config, expected) in [
        (
            Config::default(),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             client_max_window_bits",
        ),
        (generous(), "permessage-deflate; client_max_window_bits"),
        (
            config(context(false, 9), context(true, 8)),
            "permessage-deflate; client_no_context_takeover; server_max_window_bits=8; \
             client_max_window_bits=9",
        ),
        (
            generous().without_takeover(),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             client_max_window_bits",
        ),
    ] {
        assert_eq!(offer(&config), expected);
    }
}

#[test]
fn each_answer_to_a_client() {
    let judged = |config: &Config, answer: &str| judge_answer([answer.as_bytes()], Some(config));
    let agreed = |client, server| Ok(Some(Params { client, server }));

    // An answer that says nothing more.
    let wanted = generous();
    assert_eq!(judged(&wanted, "permessage-deflate"), agreed(context(true, 15), context(true, 15)));
    // A server may always promise more, and demand of the client what the client offered.
    for (params, client, server) in [
        ("server_no_context_takeover", context(true, 15), context(false, 15)),
        ("client_no_context_takeover", context(false, 15), context(true, 15)),
        ("server_max_window_bits=8", context(true, 15), context(true, 8)),
        ("client_max_window_bits=8", context(true, 8), context(true, 15)),
        ("client_max_window_bits=\"9\"", context(true, 9), context(true, 15)),
    ] {
        let answer = format!("permessage-deflate; {params}");
        assert_eq!(judged(&wanted, &answer), agreed(client, server), "{answer}");
    }
    // What the client offered holds for itself, whether or not the server repeats it.
    let sparing = config(context(false, 10), context(true, 15));
    for params in ["", "; client_no_context_takeover", "; client_max_window_bits=10"] {
        let answer = format!("permessage-deflate{params}");
        assert_eq!(judged(&sparing, &answer), agreed(context(false, 10), context(true, 15)));
    }
    // What it demands of the server has to be there.
    let strict = config(context(true, 15), context(false, 10));
    for (params, expected) in [
        ("", Err(ParameterMissing(ServerNoContextTakeover))),
        ("; server_max_window_bits=10", Err(ParameterMissing(ServerNoContextTakeover))),
        ("; server_no_context_takeover", Err(ParameterMissing(ServerMaxWindowBits))),
        (
            "; server_no_context_takeover; server_max_window_bits=11",
            Err(WindowTooLarge(ServerMaxWindowBits)),
        ),
        (
            "; server_no_context_takeover; server_max_window_bits=9",
            agreed(context(true, 15), context(false, 9)),
        ),
    ] {
        assert_eq!(judged(&strict, &format!("permessage-deflate{params}")), expected, "{params}");
    }
    let small = config(context(true, 10), context(true, 15));
    assert_eq!(
        judged(&small, "permessage-deflate; client_max_window_bits=11"),
        Err(WindowTooLarge(ClientMaxWindowBits))
    );

    for (answer, error) in [
        ("permessage-deflate; unknown", ParameterUnknown),
        ("permessage-deflate; server_max_window_bits", ValueInvalid(ServerMaxWindowBits)),
        ("permessage-deflate; server_max_window_bits=7", ValueInvalid(ServerMaxWindowBits)),
        ("permessage-deflate; client_max_window_bits", ValueInvalid(ClientMaxWindowBits)),
        ("permessage-deflate; client_max_window_bits=16", ValueInvalid(ClientMaxWindowBits)),
        ("permessage-deflate; client_no_context_takeover=1", ValueInvalid(ClientNoContextTakeover)),
        (
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            ParameterRepeated(ServerNoContextTakeover),
        ),
        (
            "permessage-deflate; client_max_window_bits=9; client_max_window_bits=9",
            ParameterRepeated(ClientMaxWindowBits),
        ),
        ("permessage-deflate, permessage-deflate", AcceptedTwice),
        ("permessage-deflate, permessage-bzip2", NotOffered),
        ("permessage-bzip2", NotOffered),
        ("permessage-deflate;", Malformed),
        ("permessage deflate", Malformed),
        ("permessage-deflate; server_max_window_bits=\"9", Malformed),
    ] {
        assert_eq!(judged(&wanted, answer), Err(error), "{answer}");
    }
    let twice = values(&["permessage-deflate", "permessage-deflate"]);
    assert_eq!(judge_answer(twice, Some(&wanted)), Err(AcceptedTwice));
    // Declined, and not offered.
    assert_eq!(judge_answer([], Some(&wanted)), Ok(None));
    assert_eq!(judge_answer([], None), Ok(None));
    assert_eq!(judge_answer([&b""[..]], None), Ok(None));
    assert_eq!(judge_answer([&b"permessage-deflate"[..]], None), Err(NotOffered));
}

#[test]
fn errors_are_told_in_words() {
    for (error, words) in [
        (Malformed, "Sec-WebSocket-Extensions is malformed"),
        (NotOffered, "the server accepts an extension that was not offered"),
        (AcceptedTwice, "the server accepts permessage-deflate twice"),
        (ParameterUnknown, "the server accepts permessage-deflate with an unknown parameter"),
        (
            ParameterRepeated(ClientNoContextTakeover),
            "the server accepts permessage-deflate with client_no_context_takeover twice",
        ),
        (
            ValueInvalid(ServerMaxWindowBits),
            "the server accepts permessage-deflate with a wrong value of server_max_window_bits",
        ),
        (
            ParameterMissing(ServerNoContextTakeover),
            "the server accepts permessage-deflate, but not server_no_context_takeover",
        ),
        (
            WindowTooLarge(ClientMaxWindowBits),
            "the server accepts permessage-deflate with more client_max_window_bits than offered",
        ),
    ] {
        assert_eq!(error.to_string(), words);
    }
}

/// Every configuration of a client and of a server: both come to the same, within what either
/// allows.
#[test]
fn both_ends_agree_whatever_they_want() {
    let contexts = || [(true, 15), (false, 15), (true, 8), (false, 11)].map(|(t, b)| context(t, b));
    for client in contexts().iter().flat_map(|&c| contexts().map(|s| config(c, s))) {
        for server in contexts().iter().flat_map(|&c| contexts().map(|s| config(c, s))) {
            let offer = offer(&client);
            let answer = answer([offer.as_bytes()], &server).expect("every offer can be met");
            let header = answer.to_string();
            let judged = judge_answer([header.as_bytes()], Some(&client));
            assert_eq!(judged, Ok(Some(answer.params())), "{offer} -> {header}");
            let params = answer.params();
            for (agreed, one, other) in [
                (params.client, client.client, server.client),
                (params.server, client.server, server.server),
            ] {
                assert_eq!(agreed.takeover, one.takeover && other.takeover);
                assert_eq!(agreed.window, one.window.min(other.window));
            }
        }
    }
}
