//! A Unix socket's bytes on their way to the HTTP/2 library, with `:authority`
//! mended. What is written goes as it is.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::frontends::authority::Mender;

/// Read at once while the end of a frame is missing, in bytes.
const PART_BYTES: usize = 4096;

/// A connection whose requests name an authority that can be read.
#[derive(Debug)]
pub(super) struct Mended<S> {
    socket: S,
    mender: Mender,
    /// Read, and not passed on: a frame whose end is missing, or more than there
    /// was room for.
    held: BytesMut,
    /// So much of it is mended.
    ready: usize,
}

impl<S> Mended<S> {
    pub(super) fn new(socket: S) -> Self {
        Self { socket, mender: Mender::default(), held: BytesMut::new(), ready: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Mended<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            if this.ready > 0 {
                let count = this.ready.min(buffer.remaining());
                buffer.put_slice(&this.held[..count]);
                this.held.advance(count);
                this.ready -= count;
                return Poll::Ready(Ok(()));
            }
            if this.held.is_empty() {
                // Most of what comes is passed on from where it is read to.
                let before = buffer.filled().len();
                ready!(Pin::new(&mut this.socket).poll_read(context, buffer))?;
                let read = &mut buffer.filled_mut()[before..];
                if read.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                let done = this.mender.mend(read);
                this.held.extend_from_slice(&read[done..]);
                buffer.set_filled(before + done);
                if done > 0 {
                    return Poll::Ready(Ok(()));
                }
            } else {
                let mut part = [0; PART_BYTES];
                let mut part = ReadBuf::new(&mut part);
                ready!(Pin::new(&mut this.socket).poll_read(context, &mut part))?;
                this.held.extend_from_slice(part.filled());
                // At the end of the stream, the rest is what it is.
                let is_end = part.filled().is_empty();
                this.ready = if is_end { this.held.len() } else { this.mender.mend(&mut this.held) };
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Mended<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Whatever the sizes of what is written and of what is read.
    #[tokio::test]
    async fn all_bytes_come_through_mended_and_the_end_too() {
        let block = b"\x41\x06/a/b/c\x83";
        let frame = [&[0, 0, 9, 1, 4, 0, 0, 0, 1][..], block].concat();
        let data = [&[0, 0x20, 0, 0, 1, 0, 0, 0, 1][..], &[b'/'; 0x2000]].concat();
        let sent = [&[b'p'; 24][..], &frame, &data, &frame, &frame[..12]].concat();
        let mended = [&frame[..9], b"\x41\x06-a-b-c\x83"].concat();
        let want = [&[b'p'; 24][..], &mended, &data, &mended, &frame[..12]].concat();
        for (write, read) in [(1, 5), (7, 4096), (100, 1), (20_000, 20_000), (20_000, 3)] {
            let (mut client, server) = tokio::io::duplex(30_000);
            let sent = sent.clone();
            let writer = tokio::spawn(async move {
                for part in sent.chunks(write) {
                    client.write_all(part).await.unwrap();
                }
            });
            let (mut server, mut got, mut part) = (Mended::new(server), Vec::new(), vec![0; read]);
            loop {
                match server.read(&mut part).await.unwrap() {
                    0 => break,
                    count => got.extend_from_slice(&part[..count]),
                }
            }
            writer.await.unwrap();
            assert!(got == want, "in parts of {write}, read by {read}");
        }
    }
}
