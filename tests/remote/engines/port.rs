//! A TCP port on loopback that is an engine's, and nobody else is given.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with};

/// Bound, but not listening: where both say `SO_REUSEADDR`, as servers do, another socket may bind to the port and
/// listen (socket(7)), while the kernel gives the port to nobody who asks for any.
pub(super) struct Port {
    pub(super) number: u16,
    _socket: OwnedFd,
}

impl Port {
    pub(super) fn reserve() -> Self {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        bind(&socket, &any).unwrap();
        // Afterwards, or the kernel might choose a port that another has reserved so.
        set_socket_reuseaddr(&socket, true).unwrap();
        let address = SocketAddr::try_from(getsockname(&socket).unwrap()).unwrap();
        Self {
            number: address.port(),
            _socket: socket,
        }
    }
}
