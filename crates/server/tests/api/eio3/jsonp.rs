//! Polling by scripts, in both revisions.

use sockeye_server::{Cors, HandshakeRefusal};

use super::*;
use crate::harness::serve_namespace;

const V4: &str = "/socket.io/?EIO=4&transport=polling";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// The field of a form.
fn form(payload: &str) -> String {
    payload.bytes().fold("d=".to_owned(), |mut form, byte| {
        write!(form, "%{byte:02X}").unwrap();
        form
    })
}

/// Opens a session by scripts.
async fn open(address: SocketAddr, target: &str, j: &str) -> Polled {
    let target = format!("{target}&j={j}");
    let response = request(address, "GET", &target, "", b"").await.recv_http().await;
    assert_eq!(response.header("content-type"), Some("text/plain; charset=UTF-8"));
    let text = response.text();
    let sid = text.split(r#"{\"sid\":\""#).nth(1).and_then(|rest| rest.get(..20));
    let sid = sid.unwrap_or_else(|| panic!("not an open packet: {text}"));
    let end = r#",\"pingTimeout\":20000,\"maxPayload\":1000000}");"#;
    assert!(text.starts_with(&format!("___eio[{j}](\"")) && text.ends_with(end), "{text}");
    Polled { address, target: format!("{target}&sid={sid}") }
}

#[tokio::test]
async fn a_conversation_in_each_revision() {
    for face in FACES {
        let server =
            face.serve(builder(echoing().on("text", |Data(text): Data<String>| text))).await;
        // Revision 4 asks to be let in.
        let polled = open(server.address, V4, "7").await;
        let answer = polled.ask("POST", FORM, form("40").as_bytes()).await;
        assert_eq!((answer.status, answer.text()), (200, "ok"));
        assert!(polled.poll().await.text().starts_with(r#"___eio[7]("40{\"sid\":\""#));
        polled.post(form("421[\"text\",\"€\u{2028}\\\\n\\\"\"]")).await;
        let answer = polled.poll().await;
        assert_eq!(answer.text(), r#"___eio[7]("431[\"€\u2028\\n\\\"\"]");"#);
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=UTF-8"));
        polled.post(form("451-1[\"echo\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAQID")).await;
        assert_eq!(
            polled.poll().await.text(),
            r#"___eio[7]("461-1[{\"_placeholder\":true,\"num\":0}]\u001ebAQID");"#
        );

        // Revision 3 is in already.
        let polled = open(server.address, POLLING, "12").await;
        assert_eq!(polled.poll().await.text(), r#"___eio[12]("2:40");"#, "{face:?}");
        let event = "451-1[\"echo\",{\"_placeholder\":true,\"num\":0}]";
        polled.post(form(&payload(&[event, "b4AQID"]))).await;
        assert_eq!(
            polled.poll().await.text(),
            r#"___eio[12]("36:461-1[{\"_placeholder\":true,\"num\":0}]6:b4AQID");"#
        );
        polled.post(form("1:2")).await;
        assert_eq!(polled.poll().await.text(), r#"___eio[12]("1:3");"#);
    }
}

#[tokio::test]
async fn forms_are_unescaped() {
    let server = serve_namespace(echoing().on("text", |Data(text): Data<String>| text)).await;
    let polled = open(server.address, V4, "0").await;
    polled.post(form("40")).await;
    polled.poll().await;
    // JSON's own escape of a newline, as the client writes it into the form.
    polled.post(form("421[\"text\",\"a\\\\nb\"]")).await;
    assert_eq!(polled.poll().await.text(), r#"___eio[0]("431[\"a\\nb\"]");"#);
    // JSON may have spaces, which are pluses in forms.
    polled.post("d=422[\"text\",+\"a%20b+c\"]&x=y").await;
    assert_eq!(polled.poll().await.text(), r#"___eio[0]("432[\"a b c\"]");"#);
    // A newline between the tokens of JSON.
    polled.post(form("423[\"text\",\\n\"a\"]")).await;
    assert_eq!(polled.poll().await.text(), r#"___eio[0]("433[\"a\"]");"#);
    // What is no payload brings nothing, as in Node.
    for nothing in ["", "x=y", "421[\"text\",\"a\"]", "d=421[\"text\",\"a\"]&d=6"] {
        polled.post(nothing).await;
    }
    polled.post("d=421[\"text\",\"last\"]").await;
    assert_eq!(polled.poll().await.text(), r#"___eio[0]("431[\"last\"]");"#);
}

#[tokio::test]
async fn of_the_number_only_its_digits_come_back() {
    let server = serve_namespace(root()).await;
    for (j, digits) in
        [("", ""), ("0", "0"), ("1);alert(2)%2F%2F", "12"), ("x", ""), ("-1.5", "15")]
    {
        let target = format!("{V4}&j={j}");
        let answer = request(server.address, "GET", &target, "", b"").await.recv_http().await;
        assert!(answer.text().starts_with(&format!("___eio[{digits}](\"0{{")), "{}", answer.text());
    }
}

#[tokio::test]
async fn bad_forms_end_the_session() {
    let (namespace, mut reasons) = with_reasons(root());
    let server = serve(builder(namespace).max_payload(100)).await;
    for (body, reason) in [
        ("d=".to_owned(), "parse error"),
        ("d=40".to_owned(), "parse error"),
        (form("1:7"), "parse error"),
        (form("1:3"), "transport error"),
        (form("1:1"), "transport close"),
        ("d=%FF".to_owned(), "parse error"),
    ] {
        let target = format!("{POLLING}&j=0");
        let text = request(server.address, "GET", &target, "", b"").await.recv_http().await;
        let sid = text.text().split(r#"{\"sid\":\""#).nth(1).unwrap()[..20].to_owned();
        let polled = Polled { address: server.address, target: format!("{target}&sid={sid}") };
        assert_eq!(polled.poll().await.text(), r#"___eio[0]("2:40");"#);
        let answer = polled.ask("POST", FORM, format!("d={}", "x".repeat(99)).as_bytes()).await;
        assert_eq!(answer.status, 413, "the limit is the body's");
        polled.post(&body).await;
        assert_eq!(reasons.next().await, reason, "{body}");
    }
}

#[tokio::test]
async fn a_page_that_cors_does_not_allow_may_not_poll_by_scripts() {
    for face in FACES {
        let cors = Cors::origins(["https://app.example"]).build().unwrap();
        let server = face.serve(builder(root()).cors(cors)).await;
        let target = format!("{V4}&j=0");
        for (headers, status) in [
            ("Referer: https://app.example/some/page\r\n", 200),
            ("Referer: http://localhost/own\r\n", 200),
            ("Referer: https://evil.example/https://app.example/\r\n", 403),
            ("Referer: https://app.example.evil/\r\n", 403),
            // A page can have none sent.
            ("", 403),
            ("Origin: https://evil.example\r\nReferer: https://app.example/\r\n", 403),
        ] {
            let answer =
                request(server.address, "GET", &target, headers, b"").await.recv_http().await;
            assert_eq!(answer.status, status, "{face:?} {headers}");
        }
        assert_eq!(server.metrics().refusals.get(HandshakeRefusal::OriginNotAllowed), 4);
        // What is no page polls otherwise.
        let polled = Polled::open(server.address, V4).await;
        polled.post("40").await;
    }
}
