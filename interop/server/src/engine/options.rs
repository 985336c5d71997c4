//! The configurations.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use sockeye::engine::{Engine, EngineBuilder};
use sockeye::{
    Cookie, Cors, Halt, PacketType, Request, SameSite, SessionData, SessionEvent, SessionRef,
    Transport, deflate,
};

use crate::{Line, hexadecimal, write};

/// Every path with its options.
pub(crate) fn all() -> Vec<(&'static str, EngineBuilder)> {
    let millis = Duration::from_millis;
    let plain = Engine::builder;
    vec![
        ("/plain", plain()),
        ("/small", plain().max_payload(100)),
        ("/fast", plain().ping_interval(millis(300)).ping_timeout(millis(1500))),
        ("/hasty", plain().upgrade_timeout(millis(1000))),
        ("/polling-only", plain().transports([Transport::Polling])),
        ("/websocket-only", plain().transports([Transport::Websocket])),
        ("/no-upgrades", plain().allow_upgrades(false)),
        ("/compressed", plain().http_compression(Some(100))),
        ("/uncompressed", plain().http_compression(None)),
        ("/cookie", plain().cookie(Cookie::default())),
        ("/cookie-custom", plain().cookie(cookie())),
        ("/cors", plain().cors(one_origin())),
        ("/cors-any", plain().cors(built(Cors::any()))),
        ("/cors-reflect", plain().cors(built(Cors::origin_if(|_| true)))),
        (
            "/cors-list",
            plain().cors(built(Cors::origins(["http://a.b", "http://c.d"]).credentials(true))),
        ),
        ("/refusing", plain().allow_request(refuse)),
        ("/headers", plain().on_initial_headers(set("x-initial")).on_headers(set("x-each"))),
        ("/initial", plain().initial_packet("hello")),
        ("/ids", ids(plain())),
        ("/middleware", plain().engine_middleware(middleware)),
        ("/deflated", plain().per_message_deflate(deflate::Config::default())),
        ("/eio3", eio3()),
        ("/eio3-fast", eio3().ping_interval(millis(300)).ping_timeout(millis(1500))),
        ("/eio3-small", eio3().max_payload(100)),
        ("/eio3-initial", eio3().initial_packet("hello")),
        ("/told", plain().on_session_event(|session, event| told("/told", session, event))),
        (
            "/eio3-told",
            eio3().on_session_event(|session, event| told("/eio3-told", session, event)),
        ),
    ]
}

/// Writes what Node tells of: nothing of the open packet, which goes before anybody can listen.
fn told(path: &str, session: SessionRef<'_>, event: SessionEvent<'_>) {
    let (name, packet) = match event {
        SessionEvent::Received(packet) => ("packet", Some(packet)),
        SessionEvent::Queued(packet) => ("packetCreate", Some(packet)),
        SessionEvent::Sent(packet) => ("flush", Some(packet)),
        SessionEvent::Heartbeat => ("heartbeat", None),
        SessionEvent::Upgrading => ("upgrading", None),
        SessionEvent::Closed(_) => ("close", None),
        _ => return,
    };
    if name != "packet" && packet.is_some_and(|packet| packet.kind == PacketType::Open) {
        return;
    }
    let packet = packet.map(|packet| {
        let kind = char::from(packet.kind.as_byte());
        match packet.data {
            SessionData::Text(data) => format!("{kind}{data}"),
            SessionData::Binary(bytes) => format!("{kind}{}", hexadecimal(bytes)),
        }
    });
    let (id, tag) = (session.id(), session.handshake().query("tag"));
    write(&Line::Told { path, tag, sid: id.as_str(), name, packet });
}

fn eio3() -> EngineBuilder {
    Engine::builder().allow_eio3(true)
}

fn built(cors: sockeye::CorsBuilder) -> Cors {
    cors.build().expect("the origins are origins")
}

fn cookie() -> Cookie {
    Cookie::new("session")
        .path("/custom/")
        .domain("a.b")
        .max_age(Duration::from_secs(3600))
        .same_site(SameSite::Strict)
        .secure(true)
        .http_only(false)
}

fn one_origin() -> Cors {
    let cors = Cors::origins(["http://a.b"])
        .credentials(true)
        .methods([Method::GET, Method::POST])
        .allowed_headers(["x-foo"])
        .exposed_headers(["x-bar"])
        .max_age(Duration::from_secs(600));
    built(cors)
}

fn refuse(request: &Request) -> impl Future<Output = Result<(), sockeye::Forbidden>> + use<> {
    let refusal = match request.query("refuse").as_deref() {
        None => Ok(()),
        Some("with words") => Err(sockeye::Forbidden::new("no entry")),
        Some(_) => Err(sockeye::Forbidden::default()),
    };
    async { refusal }
}

fn set(name: &'static str) -> impl Fn(&mut HeaderMap, &Request) + Send + Sync + 'static {
    move |headers, request| {
        let method = HeaderValue::from_str(request.method.as_str());
        headers.insert(HeaderName::from_static(name), method.expect("a method is a token"));
    }
}

/// `None` where the standard id is to be made: then the twin makes one of its own.
fn ids(builder: EngineBuilder) -> EngineBuilder {
    builder.generate_id(|request| {
        let id = request.query("id");
        async move {
            tokio::task::yield_now().await;
            match id {
                Some(id) => id.parse().ok(),
                None => {
                    let mut random = [0; 15];
                    getrandom::fill(&mut random).ok()?;
                    Some(sockeye::Sid::new(random))
                }
            }
        }
    })
}

async fn middleware(request: Request) -> Result<Request, Halt> {
    tokio::task::yield_now().await;
    match request.query("middleware").as_deref() {
        Some("fail") => Err(Halt::refuse("as it was asked to")),
        Some("answer") => {
            let mut response = Response::new("teapot");
            *response.status_mut() = StatusCode::IM_A_TEAPOT;
            let text = HeaderValue::from_static("text/plain");
            response.headers_mut().insert(http::header::CONTENT_TYPE, text);
            Err(Halt::answer(response))
        }
        _ => Ok(request),
    }
}
