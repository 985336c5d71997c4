//! What goes out: whole frames, in order, in few writes, whatever the stream takes at a time.

use std::collections::VecDeque;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use sockeye_net::{Io, SHARE_FROM};
use sockeye_outbox::Class;
use sockeye_websocket::Limits;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::peer::{Connection, Peer, ROOMY, Received, connect, pipe, text};
use crate::script::{NOTHING, Script, settle, within};

/// A stream whose reads are prepared and whose writes are kept, one by one.
struct Tape {
    reads: VecDeque<Vec<u8>>,
    writes: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl AsyncRead for Tape {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Nothing more ever comes.
        let Some(read) = self.reads.pop_front() else { return Poll::Pending };
        buffer.put_slice(&read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tape {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let len = write.len();
        self.writes.lock().expect("no test panics in here").push(write);
        Poll::Ready(Ok(len))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn messages_that_come_together_are_answered_by_one_write() {
    let writes = Arc::new(Mutex::new(Vec::new()));
    let reads = [(0..16).flat_map(|n| text(&format!("echo {n}"))).collect(), text("queue last")];
    let tape = Tape { reads: reads.into(), writes: writes.clone() };
    let script = Script::new(ROOMY, Limits::default());
    let shared = script.shared();
    shared.push("first").expect("there is room");
    let _driver = script.spawn(Io::boxed(tape), &text("echo leftover"));
    shared.until(|record| record.messages.len() == 18).await;
    crate::script::settle().await;

    let writes = writes.lock().expect("no test panics in there");
    // Replies are written before what waits in the outbox, even if that waited before them.
    let said = (0..16).map(|n| format!("echo {n}"));
    let said = std::iter::once("echo leftover".to_owned()).chain(said);
    let said = said.chain(["first".to_owned(), "queue last".to_owned()]);
    let expected: Vec<u8> =
        said.flat_map(|text| [&[0x81, text.len() as u8], text.as_bytes()].concat()).collect();
    assert_eq!(*writes, [expected]);
}

#[tokio::test]
async fn partial_writes_keep_frames_whole_and_in_order() {
    const ROUNDS: usize = 60;
    for capacity in [1, 13, 700, 70_000] {
        let Connection { peer, script, .. } =
            pipe(capacity, Script::new(ROOMY, Limits::default()), b"");
        let (reader, mut writer) = tokio::io::split(peer.0);
        let asking = tokio::spawn(async move {
            for n in 0..ROUNDS {
                let asked = [text(&format!("echo {n}")), text(&format!("queue {n}"))].concat();
                writer.write_all(&asked).await.expect("the driver reads");
            }
            writer
        });
        let telling = tokio::spawn(async move {
            for n in 0..ROUNDS {
                // Some that are copied, and some that are shared.
                let size = if n % 10 == 9 { SHARE_FROM + n } else { n };
                let note = format!("note {n} {}", "x".repeat(size));
                script.push_bytes(note.into(), Class::Data).expect("there is room");
                tokio::task::yield_now().await;
            }
        });

        let mut reader = Peer(reader);
        let (mut echoes, mut queued, mut notes) = (0, 0, 0);
        while echoes + queued + notes < 3 * ROUNDS {
            let Received::Text(heard) = reader.receive().await else { panic!("only texts") };
            let mut words = heard.split(' ');
            let (kind, number) = (words.next(), words.next());
            let counter = match kind {
                Some("echo") => &mut echoes,
                Some("queue") => &mut queued,
                Some("note") => {
                    let size = if notes % 10 == 9 { SHARE_FROM + notes } else { notes };
                    assert_eq!(words.next().map(str::len), Some(size));
                    &mut notes
                }
                _ => panic!("{heard}"),
            };
            assert_eq!(number, Some(counter.to_string().as_str()), "in order");
            *counter += 1;
        }
        within(telling).await.expect("it does not panic");
        drop(within(asking).await.expect("it does not panic"));
    }
}

#[tokio::test]
async fn entries_leave_in_the_order_in_which_they_came() {
    let Connection { mut peer, script, .. } = pipe(100, Script::new(ROOMY, Limits::default()), b"");
    for n in 0..1000 {
        script.push(&n.to_string()).expect("there is room");
    }
    for n in 0..1000 {
        peer.hears(&n.to_string()).await;
    }
    script.push_bytes(Bytes::new(), Class::Data).expect("an empty message is one, too");
    peer.hears("").await;
}

#[tokio::test]
async fn what_becomes_no_bytes_does_not_count_for_ever() {
    let Connection { mut peer, script, .. } = connect();
    for _ in 0..100 {
        script.push(NOTHING).expect("there is room");
        settle().await;
        assert_eq!(script.outbox.buffered_bytes(), 0);
    }
    script.push("something").expect("there is room");
    peer.hears("something").await;
}
