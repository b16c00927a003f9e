//! A socket of either kind.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::address::Address;
use crate::error::Error;
use crate::options::Options;

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// Does the same to either kind.
macro_rules! each {
    ($stream:expr, $socket:ident => $do:expr) => {
        match $stream {
            Stream::Tcp($socket) => $do,
            #[cfg(unix)]
            Stream::Unix($socket) => $do,
        }
    };
}

impl Stream {
    /// Opens a connection and sets its timeouts.
    pub(crate) fn connect(address: &Address, options: &Options) -> Result<Self, Error> {
        let failed = |source| Error::Connect { address: address.to_string(), source };
        let stream = match address {
            Address::Tcp(text) => Self::connect_tcp(text, options.connect_timeout)?,
            #[cfg(unix)]
            Address::Unix(path) => Self::Unix(UnixStream::connect(path).map_err(failed)?),
            #[cfg(not(unix))]
            Address::Unix(_) => return Err(failed(io::ErrorKind::Unsupported.into())),
        };
        // The system refuses a timeout of zero.
        let at_least = |timeout: Option<Duration>| timeout.map(|t| t.max(Duration::from_micros(1)));
        stream.set_read_timeout(at_least(options.read_timeout)).map_err(failed)?;
        each!(&stream, socket => socket.set_write_timeout(at_least(options.write_timeout)))
            .map_err(failed)?;
        Ok(stream)
    }

    /// Tries the addresses of the host one after the other.
    #[expect(clippy::disallowed_methods, reason = "this is where the client opens its sockets")]
    fn connect_tcp(text: &str, timeout: Option<Duration>) -> Result<Self, Error> {
        let unresolved = |source| Error::Resolve { address: text.to_owned(), source };
        let mut last = None;
        for address in text.to_socket_addrs().map_err(unresolved)? {
            let opened = match timeout {
                Some(time) => {
                    TcpStream::connect_timeout(&address, time.max(Duration::from_micros(1)))
                }
                None => TcpStream::connect(address),
            };
            match opened.and_then(|socket| socket.set_nodelay(true).map(|()| socket)) {
                Ok(socket) => return Ok(Self::Tcp(socket)),
                Err(error) => last = Some(error),
            }
        }
        match last {
            Some(source) => Err(Error::Connect { address: text.to_owned(), source }),
            None => Err(unresolved(io::ErrorKind::AddrNotAvailable.into())),
        }
    }

    pub(crate) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        each!(self, socket => socket.set_read_timeout(timeout))
    }

    /// Whether the server has neither closed the connection nor sent anything. Between a request's
    /// reply and the next request there is nothing to be sent.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let switched = each!(&*self, socket => socket.set_nonblocking(true)).is_ok();
        let read = self.read(&mut [0]);
        let back = each!(&*self, socket => socket.set_nonblocking(false)).is_ok();
        let silent = read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        switched && back && silent
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        each!(self, socket => socket.read(bytes))
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        each!(self, socket => socket.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
