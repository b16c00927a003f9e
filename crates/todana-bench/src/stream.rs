//! A connection's socket, of either family.

use std::io::{self, Read, Write};
use std::net::{TcpStream as StdTcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::time::Duration;

use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token, event::Source};

use crate::error::Error;
use crate::parts::Target;

/// A connected, non-blocking stream.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Connects, waiting at most `timeout` for each address of the target.
    pub(crate) fn connect(target: &Target, timeout: Duration) -> Result<Self, Error> {
        let refused = |source| Error::Connect { target: target.to_string(), source };
        match target {
            Target::Tcp(name) => {
                let addresses = name
                    .to_socket_addrs()
                    .map_err(|source| Error::Resolve { target: name.clone(), source })?;
                let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
                for address in addresses {
                    match StdTcpStream::connect_timeout(&address, timeout) {
                        Ok(stream) => return Self::tcp(stream).map_err(refused),
                        Err(error) => failure = error,
                    }
                }
                Err(refused(failure))
            }
            Target::Unix(path) => StdUnixStream::connect(path)
                .and_then(|stream| {
                    stream.set_nonblocking(true)?;
                    Ok(Self::Unix(UnixStream::from_std(stream)))
                })
                .map_err(refused),
        }
    }

    fn tcp(stream: StdTcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self::Tcp(TcpStream::from_std(stream)))
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }
}

impl Source for Stream {
    fn register(&mut self, registry: &Registry, token: Token, wants: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.register(registry, token, wants),
            Self::Unix(stream) => stream.register(registry, token, wants),
        }
    }

    fn reregister(&mut self, registry: &Registry, token: Token, wants: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.reregister(registry, token, wants),
            Self::Unix(stream) => stream.reregister(registry, token, wants),
        }
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.deregister(registry),
            Self::Unix(stream) => stream.deregister(registry),
        }
    }
}
