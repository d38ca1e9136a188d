//! Where callers connect: TCP with or without TLS, or a Unix socket.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

use super::tls::ServerTls;
use crate::guard::Peer;

/// A place where callers connect.
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener, Option<ServerTls>),
    #[cfg(unix)]
    Unix(unix::Bound),
}

/// A connection, and who is at its other end.
#[derive(Debug)]
pub(super) enum Accepted {
    Tcp(TcpStream, Option<ServerTls>, Peer),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream, Peer),
}

impl Listener {
    /// Plain HTTP over TCP. For other machines only where something else encrypts.
    ///
    /// # Errors
    /// When the socket has no address.
    pub fn tcp(listener: TcpListener) -> io::Result<Self> {
        listener.local_addr()?;
        Ok(Self {
            kind: Kind::Tcp(listener, None),
        })
    }

    /// HTTPS over TCP.
    ///
    /// # Errors
    /// When the socket has no address.
    pub fn tls(listener: TcpListener, tls: ServerTls) -> io::Result<Self> {
        listener.local_addr()?;
        Ok(Self {
            kind: Kind::Tcp(listener, Some(tls)),
        })
    }

    /// A Unix socket at this path, for those whom its mode lets in. A socket that nobody listens to any more
    /// is replaced; it is removed when the server ends.
    ///
    /// # Errors
    /// When there is something else at the path, or somebody listens there.
    #[cfg(unix)]
    pub fn unix(path: &std::path::Path, mode: u32) -> io::Result<Self> {
        Ok(Self {
            kind: Kind::Unix(unix::Bound::new(path, mode)?),
        })
    }

    /// A Unix socket that somebody else has made, such as systemd.
    #[cfg(unix)]
    pub fn from_unix(listener: tokio::net::UnixListener) -> Self {
        Self {
            kind: Kind::Unix(unix::Bound::given(listener)),
        }
    }

    /// The address, of a TCP socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Tcp(listener, _) => listener.local_addr().ok(),
            #[cfg(unix)]
            Kind::Unix(_) => None,
        }
    }

    pub(super) async fn accept(&mut self) -> io::Result<Accepted> {
        match &self.kind {
            Kind::Tcp(listener, tls) => {
                let (stream, _) = listener.accept().await?;
                // Answers are small, and each is whole when it is written.
                let _ = stream.set_nodelay(true);
                Ok(Accepted::Tcp(stream, tls.clone(), Peer::default()))
            }
            #[cfg(unix)]
            Kind::Unix(bound) => {
                let (stream, _) = bound.listener().accept().await?;
                Ok(Accepted::Unix(stream, Peer::unix()))
            }
        }
    }
}

#[cfg(unix)]
mod unix {
    use std::io;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    use std::path::{Path, PathBuf};

    use tokio::net::UnixListener;

    /// A Unix socket, removed when dropped if it was made here.
    #[derive(Debug)]
    pub(super) struct Bound {
        listener: UnixListener,
        path: Option<PathBuf>,
    }

    impl Bound {
        pub(super) fn new(path: &Path, mode: u32) -> io::Result<Self> {
            if let Ok(found) = std::fs::symlink_metadata(path) {
                let taken = |text: &str| Err(io::Error::new(io::ErrorKind::AddrInUse, text));
                if !found.file_type().is_socket() {
                    return taken("there is a file that is not a socket");
                }
                if std::os::unix::net::UnixStream::connect(path).is_ok() {
                    return taken("another server listens there");
                }
                std::fs::remove_file(path)?;
            }
            // Bound under another name, with nobody let in until its mode is right.
            let hidden = path.with_extension(format!("{:08x}", fastrand::u32(..)));
            let listener = UnixListener::bind(&hidden)?;
            let placed = std::fs::set_permissions(&hidden, PermissionsExt::from_mode(mode))
                .and_then(|()| std::fs::rename(&hidden, path));
            if let Err(error) = placed {
                let _ = std::fs::remove_file(&hidden);
                return Err(error);
            }
            Ok(Self {
                listener,
                path: Some(path.to_owned()),
            })
        }

        pub(super) fn given(listener: UnixListener) -> Self {
            Self {
                listener,
                path: None,
            }
        }

        pub(super) fn listener(&self) -> &UnixListener {
            &self.listener
        }
    }

    impl Drop for Bound {
        fn drop(&mut self) {
            if let Some(path) = &self.path {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}
