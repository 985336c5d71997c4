//! The floor of the echo: what bare tokio needs to take requests and to give answers of the right
//! size, without doing what makes it a WebSocket.
//!
//! Per wake-up one `read` and one `write`, no more. The first frame tells how long requests and
//! answers are; from then on the floor counts bytes: as many whole requests as have arrived, so many
//! answers it writes, from a buffer made once. It looks for no frame heads, unmasks nothing, checks
//! nothing, copies nothing. Its answers are valid frames all the same, so that the generator treats
//! the floor like the others. The read buffer and the answers belong to the thread: a connection is
//! a task and a socket.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::OnceLock;

use sockeye_benches::{frames, serving};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

const READ_BUFFER: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BUFFER].into());
}

/// The benchmark sends the same request on every connection, so one is enough.
static ANSWERS: OnceLock<Answers> = OnceLock::new();

/// As many answers as one read can call for.
struct Answers {
    request_len: usize,
    answer_len: usize,
    bytes: Vec<u8>,
}

impl Answers {
    fn new(payload: &str, request_len: usize) -> Self {
        let answer = frames::server_text(payload);
        let bytes = answer.repeat(READ_BUFFER / request_len + 1);
        Self { request_len, answer_len: answer.len(), bytes }
    }
}

fn main() -> io::Result<()> {
    serving::run_on_tokio(|listener| async move {
        loop {
            let (stream, _) = listener.accept().await?;
            // An error here is a client that has gone.
            tokio::spawn(echo(stream));
        }
    })
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let Some((answers, mut pending)) = open(&mut stream).await? else { return Ok(()) };
    loop {
        let requests = pending / answers.request_len;
        pending %= answers.request_len;
        if requests > 0 {
            stream.write_all(&answers.bytes[..requests * answers.answer_len]).await?;
        }
        match read(&mut stream, <[u8]>::len).await? {
            0 => return Ok(()),
            length => pending += length,
        }
    }
}

/// The handshake, and the first frame unless another connection has shown its size already.
/// Returns the answers and how many bytes of frames were read, `None` if the client has gone.
async fn open(stream: &mut TcpStream) -> io::Result<Option<(&'static Answers, usize)>> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let bytes = read(stream, <[u8]>::to_vec).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        request.extend(bytes);
    }
    stream.write_all(frames::SWITCHING.as_bytes()).await?;

    let mut received = Vec::new();
    loop {
        if let Some(answers) = ANSWERS.get() {
            return Ok(Some((answers, received.len())));
        }
        let bytes = read(stream, <[u8]>::to_vec).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        received.extend(bytes);
        if let Some((payload, request_len)) = frames::whole_text(&received) {
            ANSWERS.get_or_init(|| Answers::new(&payload, request_len));
        }
    }
}

/// One read into the thread's buffer, handed to `then`.
///
/// `poll_read` and not `try_read`: only the former takes a short read for a drained socket and
/// saves the second read that would say so.
async fn read<T>(stream: &mut TcpStream, then: impl Fn(&[u8]) -> T) -> io::Result<T> {
    poll_fn(|context| {
        BUFFER.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            let poll = Pin::new(&mut *stream).poll_read(context, &mut buffer);
            poll.map_ok(|()| then(buffer.filled()))
        })
    })
    .await
}
