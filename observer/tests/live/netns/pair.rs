//! Both ends of a TCP connection, moved step by step by the test.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::harness::namespace::Namespace;

pub(crate) struct Pair {
    client: TcpStream,
    server: TcpStream,
}

impl Pair {
    /// From one port of the namespace's loopback address to another.
    pub(crate) fn local(namespace: &Namespace, client: u16, server: u16) -> Self {
        let [client, server] = [client, server].map(|port| format!("127.0.0.1:{port}"));
        Self::new((namespace, &client), (namespace, &server))
    }

    pub(crate) fn new(client: (&Namespace, &str), server: (&Namespace, &str)) -> Self {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (from, to) = (address(client.1), address(server.1));
        let listener = server.0.inside(|| TcpListener::bind(to).unwrap());
        let client = client.0.inside(|| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_reuse_address(true).unwrap();
            socket.bind(&from.into()).unwrap();
            socket.connect(&to.into()).unwrap();
            // The next connection may be from the same port at once.
            socket.set_linger(Some(std::time::Duration::ZERO)).unwrap();
            TcpStream::from(socket)
        });
        Self { client, server: listener.accept().unwrap().0 }
    }

    pub(crate) fn ask(&mut self, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        self.client.write_all(request.as_bytes()).unwrap();
        self.server.read_exact(&mut vec![0; request.len()]).unwrap();
    }

    pub(crate) fn answer(&mut self, status: u16, body: &str) {
        let n_bytes = body.len();
        let response = format!("HTTP/1.1 {status} X\r\nContent-Length: {n_bytes}\r\n\r\n{body}");
        self.server.write_all(response.as_bytes()).unwrap();
        self.client.read_exact(&mut vec![0; response.len()]).unwrap();
    }

    /// A request and its response.
    pub(crate) fn exchange(&mut self, path: &str) {
        self.ask(path);
        self.answer(200, "done");
    }
}
