//! Sockets that clients come in by.
#![expect(clippy::disallowed_methods, reason = "sockets belong to the server's shell")]

use crate::context::Peer;
use crate::settings::{Address, Listen, Settings};
use mio::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};
use socket2::{Domain, SockRef, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Why a listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {reason}{hint}")]
pub struct ListenError {
    address: String,
    reason: io::Error,
    hint: &'static str,
}

/// An open listener.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// How an address is shown.
pub fn describe(address: &Address) -> String {
    match address {
        Address::Tcp(address) => format!("tcp:{address}"),
        Address::Udp(address) => format!("udp:{address}"),
        Address::Unix(path, _) => format!("unix:{}", path.display()),
    }
}

fn failed(listen: &Listen, reason: io::Error) -> ListenError {
    let hint = match reason.kind() {
        io::ErrorKind::AddrInUse if matches!(listen.address, Address::Unix(..)) => {
            " (another server has it: choose another path with -s)"
        }
        io::ErrorKind::AddrInUse => " (another process has it: choose another port with -p)",
        io::ErrorKind::PermissionDenied => " (ports below 1024 need root)",
        io::ErrorKind::AddrNotAvailable => " (no interface has this address)",
        _ => "",
    };
    ListenError { address: describe(&listen.address), reason, hint }
}

/// Opens a TCP or Unix listener.
///
/// # Errors
/// What the operating system says, with what to do.
pub(crate) fn open(listen: &Listen, settings: &Settings) -> Result<Listener, ListenError> {
    match &listen.address {
        Address::Tcp(address) => open_tcp(*address, settings).map(Listener::Tcp),
        Address::Unix(path, mode) => {
            open_unix(path, *mode, settings).map(|listener| Listener::Unix(listener, path.clone()))
        }
        Address::Udp(_) => Err(io::Error::from(io::ErrorKind::Unsupported)),
    }
    .map_err(|reason| failed(listen, reason))
}

fn backlog(settings: &Settings) -> i32 {
    i32::try_from(settings.backlog).unwrap_or(i32::MAX)
}

fn open_tcp(address: SocketAddr, settings: &Settings) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog(settings))?;
    Ok(TcpListener::from_std(socket.into()))
}

fn open_unix(path: &Path, mode: u32, settings: &Settings) -> io::Result<UnixListener> {
    // A socket that nobody listens on any more is left over from a server that died.
    if let Ok(metadata) = std::fs::symlink_metadata(path) {
        if !metadata.file_type().is_socket() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file is in the way"));
        }
        match std::os::unix::net::UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path)?;
            }
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            Err(error) => return Err(error),
        }
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    socket.listen(backlog(settings))?;
    Ok(UnixListener::from_std(socket.into()))
}

/// Opens a UDP socket.
///
/// # Errors
/// What the operating system says, with what to do.
pub(crate) fn open_udp(listen: &Listen) -> Result<UdpSocket, ListenError> {
    let Address::Udp(address) = listen.address else {
        return Err(failed(listen, io::ErrorKind::Unsupported.into()));
    };
    let open = || -> io::Result<UdpSocket> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        Ok(UdpSocket::from_std(socket.into()))
    };
    open().map_err(|reason| failed(listen, reason))
}

/// Removes a Unix socket's file when the server has stopped.
pub(crate) fn remove_socket(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::warn!(path = %path.display(), %error, "cannot remove the socket");
    }
}

/// A connection's socket.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Takes the settings for connections; failures are not worth losing the connection.
    pub(crate) fn configure(&self, settings: &Settings) {
        let Stream::Tcp(stream) = self else { return };
        let socket = SockRef::from(stream);
        let mut outcomes = vec![socket.set_tcp_nodelay(settings.no_delay)];
        outcomes.push(socket.set_keepalive(true));
        if settings.send_buffer_len > 0 {
            outcomes.push(socket.set_send_buffer_size(settings.send_buffer_len));
        }
        if settings.receive_buffer_len > 0 {
            outcomes.push(socket.set_recv_buffer_size(settings.receive_buffer_len));
        }
        for error in outcomes.into_iter().filter_map(Result::err) {
            tracing::debug!(%error, "socket option not set");
        }
    }
}

impl Stream {
    /// A connection that was accepted.
    #[cfg(target_os = "linux")]
    pub(crate) fn from_socket(socket: OwnedFd, unix: bool) -> Stream {
        match unix {
            true => Stream::Unix(UnixStream::from_std(socket.into())),
            false => Stream::Tcp(TcpStream::from_std(socket.into())),
        }
    }

    /// Where a client came from.
    pub(crate) fn peer(&self) -> Peer {
        match self {
            Stream::Tcp(stream) => Peer::Tcp(stream.peer_addr().ok()),
            Stream::Unix(_) => Peer::Unix,
        }
    }
}

impl From<Stream> for OwnedFd {
    fn from(stream: Stream) -> OwnedFd {
        match stream {
            Stream::Tcp(stream) => std::net::TcpStream::from(stream).into(),
            Stream::Unix(stream) => std::os::unix::net::UnixStream::from(stream).into(),
        }
    }
}

impl io::Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl io::Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Listener {
    /// Takes the next connection that waits.
    ///
    /// # Errors
    /// What the operating system says; `WouldBlock` when there is none.
    pub(crate) fn accept(&self) -> io::Result<Stream> {
        match self {
            Listener::Tcp(tcp) => tcp.accept().map(|(stream, _)| Stream::Tcp(stream)),
            Listener::Unix(unix, _) => unix.accept().map(|(stream, _)| Stream::Unix(stream)),
        }
    }
}

/// Has an enum of sockets be what it is one of, to whoever waits for it.
macro_rules! source {
    ($name:ident, $($variant:pat => $socket:ident),*) => {
        impl mio::event::Source for $name {
            fn register(
                &mut self,
                registry: &mio::Registry,
                token: mio::Token,
                interests: mio::Interest,
            ) -> io::Result<()> {
                match self { $($variant => $socket.register(registry, token, interests),)* }
            }

            fn reregister(
                &mut self,
                registry: &mio::Registry,
                token: mio::Token,
                interests: mio::Interest,
            ) -> io::Result<()> {
                match self { $($variant => $socket.reregister(registry, token, interests),)* }
            }

            fn deregister(&mut self, registry: &mio::Registry) -> io::Result<()> {
                match self { $($variant => $socket.deregister(registry),)* }
            }
        }
    };
}

source!(Stream, Stream::Tcp(socket) => socket, Stream::Unix(socket) => socket);
source!(Listener, Listener::Tcp(socket) => socket, Listener::Unix(socket, _) => socket);
